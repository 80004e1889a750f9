"""A rule's next occurrence: speed compared with cronsim, correctness with dateutil's rules.

Speed: every day at 09:00 in Los Angeles, 5,000 occurrences one after the other, which is cronsim's
easiest case. Ours calls `next_after` each time, without state. Both have to end at the same
occurrence. The other kinds of rules are shown too, and a rule a thousand years after its anchor.

Correctness: every occurrence of twenty years is compared with benchmarks/rrules.py, for each kind
of recurring rule, in eleven zones, with all four DST policies. A difference ends the benchmark.
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
# Times of day that do not exist, or come twice, when clocks change in one of the zones.
CHECKED = (
    ("daily", "00:00"),
    ("daily", "01:30"),
    ("daily", "02:15"),
    ("weekly", "02:30"),
    ("monthly", "00:30"),
    ("hourly", "02:30"),
)


class OccurrencesDiffer(Exception):
    """Two implementations of a rule give different times."""


class CronsimFailed(Exception):
    """cronsim failed."""


def measure() -> Figures:
    """Microseconds to a rule's next occurrence, compared with cronsim's daily case."""
    compared = compare_occurrences(ZONES, YEARS)
    say(f"{compared:>9,} occurrences equal those of dateutil's rules and zoneinfo")
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
                    raise OccurrencesDiffer(f"cronsim ends at {last}, ours at {found}")
            far.append(_walk(rules["daily"], START + FAR)[0])
    for name, values in ours.items():
        say(f"{name:>14}: {rounded(values, 2):>6.2f} µs")
    say(f"{'in 1,000 years':>14}: {rounded(far, 2):.2f} µs")
    say(f"{'cronsim, daily':>14}: {rounded(theirs, 2):>6.2f} µs")
    return {
        "ratio": round(rounded(theirs, 6) / rounded(ours["daily"], 6), 1),
        "next_us": rounded(ours["daily"], 2),
        "cronsim_us": rounded(theirs, 2),
        "far_us": rounded(far, 2),
        "slowest_us": max(rounded(values, 2) for values in ours.values()),
        "compared": compared,
    }


def compare_occurrences(
    zones: tuple[str, ...] = ZONES, years: int = YEARS, reader: OccurrenceReader = occurrences
) -> int:
    """Compare all occurrences with those of another implementation. Returns how many there were.

    Raises:
        OccurrencesDiffer: one differs.
    """
    compared = 0
    end = START + timedelta(days=365 * years)
    for zone in zones:
        for kind, at in CHECKED:
            for dst in ("shift,once", "shift,twice", "skip,once", "skip,twice"):
                document = _DAILY | {"kind": kind, "at": at, "zone": zone, "dst": dst.split(",")}
                rule = recurrence_of(document | {"every": 3} if kind == "hourly" else document)
                full = rule.document()
                ours = list(takewhile(lambda each: each < end, rule.occurrences_from(START)))
                theirs = list(takewhile(lambda each: each < end, reader(full, START)))
                if ours != theirs:
                    raise OccurrencesDiffer(f"{full}: {sorted(set(ours) ^ set(theirs))[:4]}")
                if any(rule.next_after(one) != other for one, other in pairwise(ours)):
                    raise OccurrencesDiffer(f"{full}: next_after gives another occurrence")
                compared += len(ours)
    return compared


@contextmanager
def cronsim() -> Iterator["subprocess.Popen[str]"]:
    """A process that runs benchmarks/cron/drive.py."""
    subprocess.run([str(ROOT / "requirements" / "install"), "bench"], check=True)
    command = [str(_PYTHON), str(_DRIVER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        yield driver


def _cron(driver: "subprocess.Popen[str]") -> tuple[float, datetime]:
    """Microseconds per occurrence of cronsim, and its last occurrence."""
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
    """Microseconds per occurrence of ours, and the last occurrence."""
    at = start
    began = time.perf_counter()
    for _ in range(TIMES):
        at = rule.next_after(at) or start
    return (time.perf_counter() - began) / TIMES * 1e6, at


if __name__ == "__main__":
    main("recurrence", measure)
