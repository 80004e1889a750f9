"""When jobs that wait ask again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from jobyard.domain.jobs.job_type import StepInput
from jobyard.jobtypes.calls import CALLED_AT, next_poll_s

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def looks(called_at: datetime, hours: float, least_s: float = 10.0) -> list[datetime]:
    """When a job asks that was called then."""
    found, now = [], called_at
    waiting = StepInput("b", "b.0.0", "", {}, {}, {CALLED_AT: called_at.isoformat()}, attempt=1)
    while now < called_at + timedelta(hours=hours):
        wait_s = next_poll_s(waiting, now, least_s, hours)
        assert wait_s >= least_s or now + timedelta(seconds=wait_s) == called_at + timedelta(
            hours=hours
        )
        now += timedelta(seconds=wait_s)
        found.append(now)
    return found


def test_a_job_asks_soon_at_first_and_then_after_a_part_of_the_time_waited() -> None:
    found = looks(NOON, 24)

    waits = [
        (after - before).total_seconds() / (before - NOON).total_seconds()
        for before, after in pairwise(found)
        if before - NOON > timedelta(minutes=5)
    ]
    assert max(waits) < 0.16
    assert 150 < len(found) < 250


def test_jobs_of_one_batch_ask_at_the_same_instants() -> None:
    """So two hundred that were called within a minute need hardly more passes than one."""
    of_one = len(looks(NOON, 24))
    of_all = {
        at.replace(microsecond=0)
        for number in range(200)
        for at in looks(NOON + timedelta(seconds=0.3 * number), 24)[:-1]
    }

    assert len(of_all) < 1.2 * of_one
