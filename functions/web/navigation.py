"""The main navigation: the pages that a person's roles open."""

from dataclasses import dataclass

from web.request import PageRequest

# (label, address, icon, entry of the access table)
_ENTRIES = (
    ("Home", "/", "house", None),
    ("Batches", "/batches", "layers", ("batch", "list")),
    ("Job management", "/job-management", "calendar-clock", ("schedule", "view")),
    ("Objects", "/objects", "archive", ("batch", "list")),
    ("Collections", "/collections", "folder", ("batch", "list")),
    ("Holds", "/holds", "pause", ("hold", "view")),
    ("System", "/system", "monitor", ("alarm", "view")),
    ("Activity", "/activity", "activity", ("activity", "view")),
    ("Lifecycles", "/lifecycles/batch", "workflow", None),
)


@dataclass(frozen=True)
class Entry:
    """A link of the navigation. `is_current` if the page is below it."""

    label: str
    address: str
    icon: str
    is_current: bool


def entries(request: PageRequest) -> list[Entry]:
    """The links that the person may follow, in order."""
    return [
        Entry(label, address, icon, _is_below(request.path, address))
        for label, address, icon, entry in _ENTRIES
        if entry is None or request.may(*entry)
    ]


def _is_below(path: str, address: str) -> bool:
    return path.split("/")[1:2] == address.split("/")[1:2]
