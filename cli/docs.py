"""Generates the lifecycles in docs/job-lifecycles.md: `python -m cli.docs`.

The prose is written by hand. The text between `<!-- lifecycle NAME -->` and `<!-- end -->` is
generated; a test fails when it is out of date.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from jobyard.domain.lifecycle import Lifecycle
from jobyard.domain.lifecycles import lifecycle_named

PAGE = Path(__file__).resolve().parents[1] / "docs" / "job-lifecycles.md"

_MARKER = re.compile(r"(<!-- lifecycle (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def fill(text: str) -> str:
    """`text` with each marked section replaced by the lifecycle that it names.

    Raises:
        NotFound: a place names a lifecycle there is not.
    """
    return _MARKER.sub(lambda place: place[1] + section(lifecycle_named(place[2])) + place[3], text)


def section(lifecycle: Lifecycle) -> str:
    """The diagram and tables of a lifecycle, in Markdown."""
    states = [
        (
            f"`{each.name}`",
            each.type.value,
            " / ".join(dict.fromkeys(each.labels.values())),
            each.description,
        )
        for each in lifecycle.states
    ]
    moves = [
        (f"`{each.before}`", f"`{each.event}`", f"`{each.after}`", ", ".join(each.senders))
        for each in lifecycle.transitions
    ]
    return "\n".join(
        [
            f"```mermaid\n{lifecycle.diagram()}```\n",
            _table(("state", "type", "shown as", "meaning"), states),
            _table(("from", "event", "to", "sent by"), moves),
        ]
    )


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
