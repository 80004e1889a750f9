"""A rule's next occurrence: speed compared with cronsim, correctness with dateutil's rules.

The daily case: every day at 09:00 in Los Angeles, 5,000 occurrences walked one by one, which is
cronsim's easiest way; ours is asked `next_after` each time and knows nothing of the time before.
Both come to the same last occurrence, or the figures are not given.

Also shown: the other kinds of rules, and one asked a thousand years after its anchor.

Right: each kind of rule that recurs, in eleven zones, with all four answers to changes of clocks,
every occurrence in twenty years with benchmarks/rrules.py. A difference ends the benchmark.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any

from benchmarks.output import Figures, main, rounded, say
from benchmarks.rrules import ZONES, occurrences
from cli.local.emulator import ROOT
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of

TIMES = 5_000
ROUNDS = 9
YEARS = 20
ZONE = "America/Los_Angeles"
START = datetime(2006, 1, 1, tzinfo=UTC)
FAR = timedelta(days=365_000)
_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_DRIVER = ROOT / "benchmarks" / "cron" / "drive.py"
_DAILY: dict[str, Any] = {"kind": "daily", "at": "09:00", "zone": ZONE, "anchor": "2006-01-01"}
OccurrenceReader = Callable[[Mapping[str, Any], datetime], Iterator[datetime]]
RULES: dict[str, dict[str, Any]] = {
    "daily": _DAILY,
    "daily, twice": _DAILY | {"dst": ["shift", "twice"]},
    "hourly": _DAILY | {"kind": "hourly", "every": 6},
    "weekly": _DAILY | {"kind": "weekly", "every": 2, "weekdays": ["mon", "wed"]},
    "monthly": _DAILY | {"kind": "monthly", "day": 31},
}
# Times of day that changes of clocks leave out or repeat, in one of the zones or another.
CHECKED = (
    ("daily", "00:00"),
    ("daily", "01:30"),
    ("daily", "02:15"),
    ("weekly", "02:30"),
    ("monthly", "00:30"),
    ("hourly", "02:30"),
)


class OccurrencesDiffer(Exception):
    """Two readings of one rule came to different times."""


class CronsimFailed(Exception):
    """cronsim did not do what it was asked to."""


def measure() -> Figures:
    """Microseconds to a rule's next occurrence, compared with cronsim's daily case."""
    compared = compare_readings(ZONES, YEARS)
    say(f"{compared:>9,} occurrences are those of dateutil's rules and zoneinfo")
    rules = {name: recurrence_of(document) for name, document in RULES.items()}
    ours: dict[str, list[float]] = {name: [] for name in rules}
    far: list[float] = []
    theirs: list[float] = []
    with cronsim() as driver:
        for _ in range(ROUNDS):
            took, last = _cron(driver)
            theirs.append(took)
            for name, rule in rules.items():
                took, found = _walk(rule, START)
                ours[name].append(took)
                if name == "daily" and found != last:
                    raise OccurrencesDiffer(f"cronsim came to {last}, we to {found}")
            far.append(_walk(rules["daily"], START + FAR)[0])
    for name, values in ours.items():
        say(f"{name:>14}: {rounded(values, 2):>6.2f} µs")
    say(f"{'a millennium on':>14}: {rounded(far, 2):.2f} µs")
    say(f"{'cronsim, daily':>14}: {rounded(theirs, 2):>6.2f} µs")
    return {
        "ratio": round(rounded(theirs, 6) / rounded(ours["daily"], 6), 1),
        "next_us": rounded(ours["daily"], 2),
        "cronsim_us": rounded(theirs, 2),
        "far_us": rounded(far, 2),
        "slowest_us": max(rounded(values, 2) for values in ours.values()),
        "compared": compared,
    }


def compare_readings(
    zones: tuple[str, ...] = ZONES, years: int = YEARS, reader: OccurrenceReader = occurrences
) -> int:
    """How many occurrences were compared with the other reading's, all of them equal.

    Raises:
        OccurrencesDiffer: one is not.
    """
    compared = 0
    end = START + timedelta(days=365 * years)
    for zone in zones:
        for kind, at in CHECKED:
            for dst in ("shift,once", "shift,twice", "skip,once", "skip,twice"):
                document = _DAILY | {"kind": kind, "at": at, "zone": zone, "dst": dst.split(",")}
                rule = recurrence_of(document | {"every": 3} if kind == "hourly" else document)
                full = rule.document()
                ours = list(takewhile(lambda each: each < end, rule.from_(START)))
                theirs = list(takewhile(lambda each: each < end, reader(full, START)))
                if ours != theirs:
                    raise OccurrencesDiffer(f"{full}: {sorted(set(ours) ^ set(theirs))[:4]}")
                if any(rule.next_after(one) != other for one, other in pairwise(ours)):
                    raise OccurrencesDiffer(f"{full}: asked for the next, it is another")
                compared += len(ours)
    return compared


@contextmanager
def cronsim() -> Iterator["subprocess.Popen[str]"]:
    """cronsim, ready to be asked."""
    subprocess.run([str(ROOT / "requirements" / "install"), "bench"], check=True)
    command = [str(_PYTHON), str(_DRIVER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        yield driver


def _cron(driver: "subprocess.Popen[str]") -> tuple[float, datetime]:
    """Microseconds an occurrence, and the last."""
    if driver.stdin is None or driver.stdout is None:
        raise CronsimFailed("the driver has no pipes")
    start = "2006-01-01T00:00:00"
    request = {"expression": "0 9 * * *", "zone": ZONE, "start": start, "times": TIMES}
    driver.stdin.write(json.dumps(request) + "\n")
    driver.stdin.flush()
    answer = json.loads(driver.stdout.readline() or "{}")
    if not answer:
        raise CronsimFailed("cronsim did not answer")
    return answer["seconds"] / TIMES * 1e6, datetime.fromisoformat(answer["last"])


def _walk(rule: Recurrence, start: datetime) -> tuple[float, datetime]:
    """Microseconds an occurrence, and the last."""
    at = start
    began = time.perf_counter()
    for _ in range(TIMES):
        at = rule.next_after(at) or start
    return (time.perf_counter() - began) / TIMES * 1e6, at


if __name__ == "__main__":
    main("recurrence", measure)
