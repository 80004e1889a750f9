"""What a page reads, however large the batch is."""

from tests.functions.api.batch_records import a_batch, put_findings
from tests.functions.api.schedule_records import items_read
from tests.functions.web.browser import Browser

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
