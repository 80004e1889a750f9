"""How often the pages of a batch poll: soon while jobs run, rarely while all of them wait."""

from datetime import timedelta

import pytest

from jobyard.domain.jobs.job import JobState
from jobyard.services.queries.batches import BatchView
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import a_batch
from tests.functions.web.browser import Browser
from web.batch_page import batch_poll_s

_NONE = dict.fromkeys((state.value for state in JobState), 0)


@pytest.mark.parametrize(
    ("counts", "until_s", "interval_s"),
    [
        ({"running": 1, "held": 5}, None, 2),
        ({"scheduled": 1}, None, 2),
        ({"succeeded": 3}, None, 2),  # its jobs are being counted
        ({"held": 5}, None, 30),
        ({"held": 5}, 12, 12),
        ({"scheduled": 5, "succeeded": 3}, 3600, 30),
        ({"scheduled": 5}, 7, 7),
        ({"scheduled": 5}, -60, 2),
    ],
)
@pytest.mark.usefixtures("browser")
def test_a_batch_whose_jobs_all_wait_is_polled_rarely_until_one_starts(
    counts: dict[str, int], until_s: int | None, interval_s: int
) -> None:
    until = None if until_s is None else NOW + timedelta(seconds=until_s)
    batch = a_batch("processing", entries=sum(counts.values()))
    view = BatchView(batch, "Processing", _NONE | counts, (), "", until, ())

    assert batch_poll_s(view, NOW) == interval_s


@pytest.mark.parametrize(("state", "interval_s"), [("processing", "10"), ("completed", "0")])
def test_the_lists_of_a_batch_poll_until_it_has_ended(
    browser: Browser, state: str, interval_s: str
) -> None:
    browser.sign_in("viewer")
    batch = a_batch(state, entries=2)

    for part in ("jobs", "cost"):
        page = browser.get(f"/batches/{batch.batch_id}/{part}")
        assert page.headers["x-next-poll"] == interval_s
