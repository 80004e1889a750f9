"""The main navigation: the pages that a person's roles open."""

from dataclasses import dataclass

from jobyard.domain.ids import Origin, origin_of
from web.request import PageRequest

# (label, address, icon, (kind, event) of the access table; None for everybody)
_LINKS = (
    ("Home", "/", "house", None),
    ("Batches", "/batches", "layers", ("batch", "list")),
    ("Jobs", "/campaigns", "router", ("campaign", "view")),
    ("Job Management", "/job-management", "calendar-clock", ("schedule", "view")),
    ("Worklist", "/worklist", "clipboard-list", ("worklist", "view")),
    ("Planner", "/planner", "map", ("edit", "view")),
    ("Datasets", "/datasets", "database", ("dataset", "view")),
    ("Teams", "/teams", "users", ("team", "view")),
    ("Objects", "/objects", "archive", ("batch", "list")),
    ("Collections", "/collections", "folder", ("batch", "list")),
    ("Holds", "/holds", "pause", ("hold", "view")),
    ("System", "/system", "monitor", ("alarm", "view")),
    ("Webhooks", "/webhooks", "send", ("webhook", "view")),
    ("Activity", "/activity", "activity", ("activity", "view")),
    ("Lifecycles", "/lifecycles/batch", "workflow", None),
)
# Where pages belong that are not below the address of a link.
_PARENTS = {
    "schedules": "job-management",
    "calendars": "job-management",
    "failures": "",
    "undelivered": "",
}
_PARENTS_OF_JOBS = {
    Origin.BATCH: "batches",
    Origin.SCHEDULE: "job-management",
    Origin.CAMPAIGN: "campaigns",
}


@dataclass(frozen=True)
class NavigationLink:
    """A link of the navigation. `is_current` if the page is below it."""

    label: str
    address: str
    icon: str
    is_current: bool


def navigation_links(request: PageRequest) -> list[NavigationLink]:
    """The links that the person may follow, in order."""
    section = _section_of(request.path)
    if section == "edits":
        section = "planner" if request.may("edit", "view") else "worklist"
    return [
        NavigationLink(label, address, icon, address.split("/")[1] == section)
        for label, address, icon, event in _LINKS
        if event is None or request.may(*event)
    ]


def _section_of(path: str) -> str:
    """The first part of the address of the link to which a page belongs."""
    first, *rest = path.removeprefix("/").split("/")
    origin = origin_of(rest[0].partition(".")[0]) if first == "jobs" and rest else None
    return _PARENTS_OF_JOBS[origin] if origin else _PARENTS.get(first, first)
