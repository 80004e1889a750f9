"""Stores people's acts in the timeline: a series for each month, by time. DynamoDB removes them
after `ACTS_KEPT`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.activity import ACTS_KEPT, Act, Subject
from jobyard.store.documents import from_ms, month_before, sortable, to_ms
from jobyard.store.tables import TimelineItem, save_if


@dataclass(frozen=True)
class StoredAct:
    """An act, and its position: the month and the key after which older acts follow."""

    act: Act
    position: tuple[str, str]


def put(act: Act) -> None:
    """Store an act. A repeat of the same act, with the same time and cause, changes nothing."""
    subject = act.subject
    item = TimelineItem(
        series=_series(sortable(act.at)[:7]),
        at=f"{sortable(act.at)}#{act.cause}",
        expires=int((act.at + ACTS_KEPT).timestamp()),
        body=[
            to_ms(act.at),
            act.actor,
            act.sub,
            act.event,
            [subject.kind, subject.subject_id, subject.title, subject.count],
            act.reason,
            act.cause,
            act.changes,
        ],
    )
    save_if(item, TimelineItem.series.does_not_exist())


def newest_first(now: datetime, position: tuple[str, str] | None, page: int) -> Iterator[StoredAct]:
    """The acts after a position (None: from the newest), newest first, read in pages of `page`."""
    month, before = position or (sortable(now)[:7], "")
    oldest = sortable(now - ACTS_KEPT)
    while month >= oldest[:7]:
        condition = TimelineItem.at < before if before else None
        for item in TimelineItem.query(
            _series(month),
            range_key_condition=condition,
            scan_index_forward=False,
            page_size=page,
        ):
            if item.at < oldest:
                return
            yield StoredAct(_act(item), (month, item.at))
        month, before = month_before(month), ""


def is_any_after(at: datetime, now: datetime) -> bool:
    """Whether anybody acted after `at`, in the month of `now`. It reads one act at most."""
    later = TimelineItem.at > f"{sortable(at)}~"  # the tilde sorts after the acts of `at` itself
    found = TimelineItem.query(_series(sortable(now)[:7]), later, limit=1)
    return next(iter(found), None) is not None


def _series(month: str) -> str:
    return f"acts {month}"


def _act(item: TimelineItem) -> Act:
    at, actor, sub, event, subject, *rest = item.body  # without changes before version 0.2.0
    return Act(from_ms(at), actor, sub, event, Subject(*subject), *rest)
