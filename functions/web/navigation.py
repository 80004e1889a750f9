"""The main navigation: the pages that a person's roles open."""

from dataclasses import dataclass

from web.request import PageRequest

# (label, address, icon, (kind, event) of the access table; None for everybody)
_LINKS = (
    ("Home", "/", "house", None),
    ("Batches", "/batches", "layers", ("batch", "list")),
    ("Jobs", "/campaigns", "workflow", ("campaign", "view")),
    ("Job Management", "/job-management", "calendar-clock", ("schedule", "view")),
    ("Objects", "/objects", "archive", ("batch", "list")),
    ("Collections", "/collections", "folder", ("batch", "list")),
    ("Holds", "/holds", "pause", ("hold", "view")),
    ("System", "/system", "monitor", ("alarm", "view")),
    ("Activity", "/activity", "activity", ("activity", "view")),
    ("Lifecycles", "/lifecycles/batch", "workflow", None),
)


@dataclass(frozen=True)
class NavigationLink:
    """A link of the navigation. `is_current` if the page is below it."""

    label: str
    address: str
    icon: str
    is_current: bool


def navigation_links(request: PageRequest) -> list[NavigationLink]:
    """The links that the person may follow, in order."""
    return [
        NavigationLink(label, address, icon, _is_below(request.path, address))
        for label, address, icon, event in _LINKS
        if event is None or request.may(*event)
    ]


def _is_below(path: str, address: str) -> bool:
    return path.split("/")[1:2] == address.split("/")[1:2]
