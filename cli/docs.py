"""Generates lifecycles and the tables of access, alarms and checks in docs/: `python -m cli.docs`.

The prose is written by hand. The text between `<!-- lifecycle NAME -->`, `<!-- access table -->`,
`<!-- alarm table -->`, `<!-- geojson table -->`, `<!-- licence table -->`, `<!-- rule table -->` or
`<!-- target table -->` and `<!-- end -->` is generated; a test fails when it is out of date.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import metadata
from pathlib import Path

from cli.local.artifacts import pinned
from jobyard.domain.access import ACCESS
from jobyard.domain.alarms import RUNBOOKS, Runbook
from jobyard.domain.campaigns.target_checks import TargetCheck
from jobyard.domain.datasets.geojson_checks import GeoJsonCheck
from jobyard.domain.datasets.rules import RuleCheck
from jobyard.domain.lifecycle import Lifecycle
from jobyard.domain.lifecycles import lifecycle_named
from jobyard.domain.manifests.findings import check_table

_ROOT = Path(__file__).resolve().parents[1]
_DOCS = _ROOT / "docs"
_LICENCE = re.compile(r"License ::")
PAGES = tuple(
    _DOCS / f"{name}.md"
    for name in ("campaigns", "datasets", "job-lifecycles", "licences", "operating")
)

_MARKER = re.compile(
    r"(<!-- (lifecycle|access|alarm|geojson|licence|rule|target) (\w+) -->\n).*?(<!-- end -->\n)",
    re.DOTALL,
)


def fill(text: str) -> str:
    """`text` with each marked section generated again.

    Raises:
        NotFound: a marker names a lifecycle that does not exist.
    """
    return _MARKER.sub(_filled, text)


def _filled(marked: re.Match[str]) -> str:
    begin, kind, name, end = marked.groups()
    tables: dict[str, Callable[[], str]] = {
        "access": access_table,
        "alarm": alarm_table,
        "geojson": partial(check_table, GeoJsonCheck),
        "licence": licence_table,
        "rule": partial(check_table, RuleCheck),
        "target": partial(check_table, TargetCheck),
    }
    return begin + (tables[kind]() if kind in tables else section(lifecycle_named(name))) + end


def access_table() -> str:
    """The access table in Markdown: a row for the events of a kind that need the same roles."""
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (kind, event), roles in ACCESS.items():
        rows.setdefault((kind, roles), []).append(f"`{event}`")
    return _table(
        ("what", "event", "for"),
        [(kind, ", ".join(events), ", ".join(roles)) for (kind, roles), events in rows.items()],
    )


def alarm_table() -> str:
    """The runbooks in Markdown: a row for the alarms that mean the same."""
    return _table(
        ("alarm", "means", "what to do"),
        [
            (", ".join(each.alarms), each.means.format("a function"), _advice(each))
            for each in RUNBOOKS
        ],
    )


def licence_table() -> str:
    """The licences of the packages in the layers, as they are installed here."""
    locks = (_ROOT / "layers").glob("*/requirements.txt")
    shipped = {each for lock in locks for each in pinned(lock.read_text())}
    return _table(
        ("package", "version", "licence"),
        [(name, version, _licence(name)) for name, version in sorted(shipped)],
    )


def _licence(package: str) -> str:
    """The licence in a package's metadata."""
    found = metadata(package)
    classifiers = [each for each in found.get_all("Classifier", []) if _LICENCE.match(each)]
    named = ", ".join(each.rpartition(" :: ")[2] for each in classifiers)
    expressions = found.get_all("License-Expression") or [named or found["License"]]
    return str(expressions[0])


def _advice(runbook: Runbook) -> str:
    """What to do, with a link to the chapter that says more."""
    if not runbook.chapter:
        return runbook.advice
    anchor = runbook.chapter.casefold().replace(" ", "-")
    return f"{runbook.advice}: see [{runbook.chapter}](#{anchor})"


def section(lifecycle: Lifecycle) -> str:
    """The diagram and tables of a lifecycle, in Markdown."""
    states = [
        (
            f"`{each.name}`",
            each.type.value,
            each.shown_as,
            each.description,
        )
        for each in lifecycle.states
    ]
    transitions = [
        (
            f"`{each.before}`",
            f"`{each.event}`{' after the end' if each.after_end else ''}",
            f"`{each.after}`",
            ", ".join(each.senders),
        )
        for each in lifecycle.transitions
    ]
    return "\n".join(
        [
            f"```mermaid\n{lifecycle.diagram()}```\n",
            _table(("state", "type", "shown as", "meaning"), states),
            _table(("from", "event", "to", "sent by"), transitions),
        ]
    )


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text()))
