"""Who looks and when, and what a look finds of holds and of history."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.domain.batch import Batch, HistoryEntry
from jobyard.domain.calendars import Calendar
from jobyard.domain.hold import Hold, in_force, scopes_of
from jobyard.services.asking import Person
from jobyard.services.settings import Settings
from jobyard.store import holds

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Looking:
    """Who looks, at what time, and what at.

    `holds` are those on batches and schedules looked at before, `calendars` those these name.
    """

    settings: Settings
    s3: "S3Client"
    person: Person
    now: datetime
    holds: dict[str, Hold | None] = field(default_factory=dict, compare=False)
    calendars: dict[str, Calendar | None] = field(default_factory=dict, compare=False)


def held_by(found: Batch, looking: Looking) -> tuple[str, datetime | None]:
    """Why a batch, or a job of it that the machine held, is held, and until when."""
    stop = hold_on(found, looking)
    if stop:
        return stop.words(), stop.until
    return "nothing holds it any more; it is released within a minute", None


def hold_on(found: Batch, looking: Looking) -> Hold | None:
    if found.batch_id not in looking.holds:
        on_it = holds.of_scopes(scopes_of(found.collection, found.job_type))
        looking.holds[found.batch_id] = in_force(on_it, looking.now)
    return looking.holds[found.batch_id]


def history(entries: tuple[HistoryEntry, ...]) -> list[dict[str, Any]]:
    """History as documents, oldest first."""
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
