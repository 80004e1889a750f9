"""The forecast of a campaign: its next openings, how many targets they hold, and warnings.

It assumes that each task succeeds in its first attempt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.campaigns.abort import OutcomeCounts
from jobyard.domain.campaigns.openings import Opening, Openings
from jobyard.domain.campaigns.rollout import SLICE, grant_of, starts_by
from jobyard.domain.campaigns.rules import CampaignRules
from jobyard.domain.plurals import plural

SHOWN_OPENINGS = 7
TAKES_S = 60  # what a task takes, if nothing else is known
_GROWING = ", growing"  # ends a rate
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class OpeningForecast:
    """An opening, how many tasks start in it, and how many have started by its end."""

    opening: Opening
    starts: int
    started: int

    def document(self) -> dict[str, Any]:
        """The opening as JSON."""
        return {
            "start": _text(self.opening.start),
            "end": _text(self.opening.end),
            "starts": self.starts,
            "started": self.started,
        }


@dataclass(frozen=True)
class CampaignForecast:
    """The next openings of a campaign for `tasks` tasks, and what they hold.

    `opening_count` counts all openings, and `available` is the time in which tasks may start in
    them. `started` tasks start in it. If all do, they need `needed` of it, and `last_start` is when
    the last of them may start.
    """

    tasks: int
    openings: tuple[OpeningForecast, ...]
    opening_count: int
    available: timedelta
    started: int
    needed: timedelta | None
    last_start: datetime | None
    rate: str
    warnings: tuple[str, ...]

    def description(self) -> str:
        """The forecast as a sentence without its full stop."""
        targets = f"{plural(self.tasks, 'target')} {self.rate}".rstrip()
        if targets.endswith(_GROWING):
            targets += ","
        windows = plural(self.opening_count, "window")
        gives = "gives" if self.opening_count == 1 else "give"
        if self.needed is None:
            return f"{targets}: {windows} {gives} {_minutes(self.available)} min, too little"
        verb = "needs" if self.tasks == 1 else "need"
        needed = f"{targets} {verb} {_minutes(self.needed)} min"
        return f"{needed}; {windows} {gives} {_minutes(self.available)} min"

    def document(self) -> dict[str, Any]:
        """The forecast as JSON."""
        return {
            "description": self.description(),
            "openings": [each.document() for each in self.openings],
            "opening_count": self.opening_count,
            "available_s": self.available // _SECOND,
            "needed_s": None if self.needed is None else self.needed // _SECOND,
            "started": self.started,
            "last_start": self.last_start and _text(self.last_start),
            "warnings": list(self.warnings),
        }


def forecast_of(
    rules: CampaignRules,
    openings: Openings,
    tasks: int,
    now: datetime,
    takes_s: int = TAKES_S,
    succeeded: int = 0,
) -> CampaignForecast:
    """The forecast for `tasks` tasks that have not started, if each takes `takes_s` seconds, and
    `succeeded` others have succeeded.

    It is computed for the beginning of the minute, so all who read it in one see the same.
    """
    now = now.replace(second=0, microsecond=0)
    left = openings.openings(now, len(openings.all))
    started, needed = 0, timedelta()
    last_start: datetime | None = None
    shown: list[OpeningForecast] = []
    for opening in left:
        before = started
        for at, number in _slices(opening, rules, now, takes_s, tasks, started, succeeded):
            started += number
            last_start = at
            needed += min(SLICE, opening.end - rules.schedule.needs - at)
        if len(shown) < SHOWN_OPENINGS:
            shown.append(OpeningForecast(opening, started - before, started))
        if started == tasks and len(shown) == SHOWN_OPENINGS:
            break
    return CampaignForecast(
        tasks=tasks,
        openings=tuple(shown),
        opening_count=len(left),
        available=sum((_usable_time(each, rules, now) for each in left), timedelta()),
        started=started,
        needed=needed if started == tasks else None,
        last_start=last_start if started == tasks else None,
        rate=_rate(rules, takes_s, succeeded),
        warnings=tuple(_warnings(rules, left, tasks, started)),
    )


def start_times(
    rules: CampaignRules,
    openings: Openings,
    places: Iterable[int],
    now: datetime,
    succeeded: int = 0,
) -> dict[int, datetime]:
    """The minutes by which tasks have started, by the forecast. The keys are `places`: positions of
    tasks among those that have not started, from 0. Those that the openings leave no time for are
    left out.
    """
    now = now.replace(second=0, microsecond=0)
    left = sorted({*places}, reverse=True)
    found: dict[int, datetime] = {}
    started, tasks = 0, left[0] + 1 if left else 0
    for opening in openings.openings(now, len(openings.all)):
        for at, number in _slices(opening, rules, now, TAKES_S, tasks, started, succeeded):
            started += number
            while left and left[-1] < started:
                found[left.pop()] = (at + SLICE).replace(second=0, microsecond=0)
    return found


def _usable_time(opening: Opening, rules: CampaignRules, now: datetime) -> timedelta:
    """How long tasks may start in an opening, from now on."""
    usable = opening.end - rules.schedule.needs - max(opening.start, now)
    return max(usable, timedelta())


def _slices(
    opening: Opening,
    rules: CampaignRules,
    now: datetime,
    takes_s: int,
    tasks: int,
    started: int,
    succeeded: int,
) -> Iterator[tuple[datetime, int]]:
    """The slices of an opening in which tasks start, each with their number."""
    at = max(opening.start, now)
    last = opening.end - max(rules.schedule.needs, _SECOND)
    while at <= last and started < tasks:
        grant = _grant(rules, succeeded + started, takes_s)
        number = min(starts_by(rules.rollout, grant, min(SLICE, last - at)), tasks - started)
        yield at, number
        started += number
        at += SLICE


def _grant(rules: CampaignRules, started: int, takes_s: int) -> int:
    """How many tasks start in a slice if all that started before it have succeeded."""
    grant = min(grant_of(rules.rollout, started), _at_once_limit(rules, takes_s))
    if rules.abort:
        return rules.abort.limited(grant, OutcomeCounts(started=started))
    return grant


def _at_once_limit(rules: CampaignRules, takes_s: int) -> int:
    """How many tasks the limit on those that run at the same time lets start in a slice."""
    return max(rules.at_once * (SLICE // _SECOND) // max(takes_s, 1), 1)


def _rate(rules: CampaignRules, takes_s: int, succeeded: int) -> str:
    grant, limit = grant_of(rules.rollout, succeeded), _at_once_limit(rules, takes_s)
    grows = _GROWING if rules.rollout and rules.rollout.factor > 1 and grant < limit else ""
    return f"at {min(grant, limit):,} a minute{grows}"


def _warnings(
    rules: CampaignRules, left: Sequence[Opening], tasks: int, started: int
) -> Iterator[str]:
    if started < tasks:
        yield f"too little time: {plural(tasks - started, 'target')} would not be reached"
    short = sum(each.length < rules.schedule.needs for each in left)
    if short:
        needs = f"{rules.schedule.needs_min} minutes, which a task needs"
        verb = "is" if short == 1 else "are"
        yield f"{plural(short, 'window')} {verb} shorter than {needs}: nothing starts then"
    if rules.abort and tasks < rules.abort.at_least:
        yield f"abort: {plural(tasks, 'task')} are fewer than at_least, so it never stops"
    total = sum((each.length for each in left), timedelta())
    if timedelta(seconds=rules.retry_s) >= total:
        yield "retry_s: a task that fails is not tried again, because no time is left"


def _minutes(duration: timedelta) -> str:
    return f"{-(-duration // _MINUTE):,}"


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
