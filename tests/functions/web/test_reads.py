"""What a page reads, however large the batch is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.functions.api.batch_records import a_batch, put_findings
from tests.functions.api.schedule_records import a_schedule, items_read
from tests.functions.web.browser import Browser

_MONITORING = ("cloudwatch", "sqs")
ENTRIES, CHUNK_SIZE = 3_000, 100  # more chunks than are counted at each reading


def test_a_poll_that_finds_nothing_new_reads_three_items(browser: Browser) -> None:
    browser.sign_in("viewer")
    batch = a_batch("processing", entries=ENTRIES, chunk_size=CHUNK_SIZE, findings=1)
    put_findings(batch, [{"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"}])
    address = f"/batches/{batch.batch_id}"
    etag = browser.get(address).headers["etag"]

    with items_read() as found:
        again = browser.get(address, if_none_match=etag, x_poll="1")

    assert again.status == 304
    assert found.total() <= 3


@contextmanager
def _monitoring_calls(browser: Browser) -> Iterator[list[str]]:
    """The calls of CloudWatch and SQS in the block."""
    found: list[str] = []

    def note(model: Any, **_: Any) -> None:
        found.append(model.name)

    events = [getattr(browser.function.SITE, name).meta.events for name in _MONITORING]
    for each in events:
        each.register("after-call", note)
    try:
        yield found
    finally:
        for each in events:
            each.unregister("after-call", note)


@pytest.mark.parametrize("role", ["admin", "viewer", "depositor"])
def test_a_poll_of_home_reads_two_items_and_calls_neither_cloudwatch_nor_sqs(
    browser: Browser, role: str
) -> None:
    browser.sign_in(role)
    for state in ("pending", "held", "processing", "failed"):
        for _ in range(3):
            a_batch(state, entries=5)
    for _ in range(7):
        a_schedule()
    etag = browser.get("/").headers["etag"]

    with items_read() as found, _monitoring_calls(browser) as calls:
        again = browser.get("/", if_none_match=etag, x_poll="1")

    assert again.status == 304
    assert found.total() <= 2
    assert calls == []
