"""The columns of a list of jobs, which its address keeps. The name is always shown."""

from collections.abc import Iterable

# By their names in an address, in the order of the table.
LABELS = {
    "line": "Line",
    "name": "File or object",
    "state": "State",
    "step": "Step",
    "details": "What happened",
    "attempts": "Attempts",
    "duration": "Last attempt took",
    "changed": "Changed",
    "requeues": "Requeued",
    "size": "Size",
    "url": "URL",
    "id": "Job id",
}
ALWAYS = "name"
CHOICES = {name: label for name, label in LABELS.items() if name != ALWAYS}
_USUAL = ("line", "name", "state", "step", "details")
_KINDS = {
    "name": "name",
    "url": "name",
    **dict.fromkeys(("line", "attempts", "duration", "requeues", "size"), "number"),
}


def chosen_columns(given: Iterable[str]) -> tuple[str, ...]:
    """The columns that an address names, joined or one by one; the usual ones if it names none."""
    names = {name for each in given for name in each.split(".")}
    if names.isdisjoint(CHOICES):
        return _USUAL
    return tuple(name for name in LABELS if name in names or name == ALWAYS)


def columns_value(columns: tuple[str, ...]) -> str:
    """The columns as a value in an address; "" for the usual ones."""
    return "" if columns == _USUAL else ".".join(name for name in columns if name != ALWAYS)


def table_columns(columns: Iterable[str]) -> list[dict[str, str]]:
    """The columns as the table's macro has them."""
    return [
        {"name": name, "label": LABELS[name]} | ({"kind": _KINDS[name]} if name in _KINDS else {})
        for name in columns
    ]
