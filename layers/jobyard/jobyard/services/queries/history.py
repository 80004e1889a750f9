"""Histories as JSON documents."""

from typing import Any

from jobyard.domain.history import HistoryEntry


def history(entries: tuple[HistoryEntry, ...]) -> list[dict[str, Any]]:
    """A history as JSON documents, oldest entry first."""
    return [
        {
            "event": entry.event,
            "from": entry.before,
            "to": entry.after,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "actor_id": entry.sub,
            "reason": entry.reason,
            "cause": entry.cause,
        }
        for entry in entries
    ]
