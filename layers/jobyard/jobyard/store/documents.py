"""Converts values to the JSON of stored items, and back. Times are milliseconds since 1970 UTC."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import MACHINE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """`at` in whole milliseconds since 1970 UTC, rounded down: there is no year after 9999."""
    return (at - _EPOCH) // _MILLISECOND


def to_ms_or_none(at: datetime | None) -> int | None:
    """As `to_ms`; None for None."""
    return None if at is None else to_ms(at)


def from_ms(ms: int | float) -> datetime:
    """The time of a stored number of milliseconds, in UTC."""
    return _EPOCH + ms * _MILLISECOND


def from_ms_or_none(ms: int | float | None) -> datetime | None:
    """As `from_ms`; None for None."""
    return None if ms is None else from_ms(ms)


def spans_document(spans: Mapping[str, tuple[datetime, datetime]]) -> dict[str, list[int]]:
    """Times from a first to a last, by name, as `[ms, ms]`."""
    return {name: [to_ms(first), to_ms(last)] for name, (first, last) in spans.items()}


def parse_spans(document: Mapping[str, Any]) -> dict[str, tuple[datetime, datetime]]:
    """The times that `spans_document` encoded."""
    return {name: (from_ms(first), from_ms(last)) for name, (first, last) in document.items()}


def sortable(at: datetime) -> str:
    """`at` as text that sorts by time, to the millisecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def month_before(month: str) -> str:
    """The month before `month` ("2026-11")."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


def history_document(history: tuple[HistoryEntry, ...]) -> list[list[Any]]:
    """A history as lists `[event, before, after, ms, cause]`.

    If a person sent the event, `actor, reason, sub` follow. `before` is "" if the previous entry
    ended in that state. A summary of several entries has `{event: count}` in place of an event.
    """
    lines: list[list[Any]] = []
    state_before = ""
    for entry in history:
        before = "" if entry.before == state_before else entry.before
        if entry.counts:
            lines.append([dict(entry.counts), before, entry.after, to_ms(entry.at), ""])
            state_before = entry.after
            continue
        line: list[Any] = [entry.event, before, entry.after, to_ms(entry.at), entry.cause]
        if not entry.by_machine or entry.reason:
            line += [entry.actor, entry.reason]
        if entry.sub:
            line.append(entry.sub)
        lines.append(line)
        state_before = entry.after
    return lines


def parse_history(lines: list[list[Any]]) -> tuple[HistoryEntry, ...]:
    """The history that `history_document` encoded."""
    entries: list[HistoryEntry] = []
    state_before = ""
    for event, before, after, at, cause, *person in lines:
        actor, reason, sub = (*person, "", "")[:3] if person else (MACHINE, "", "")
        if isinstance(event, dict):
            entries.append(HistoryEntry.summary(event, before or state_before, after, from_ms(at)))
        else:
            entries.append(
                HistoryEntry(
                    event, before or state_before, after, from_ms(at), actor, cause, reason, sub
                )
            )
        state_before = after
    return tuple(entries)


def without_blanks(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` without its falsy values: None, "", 0, False and empty collections."""
    return {name: value for name, value in document.items() if value}
