"""The web pages of a full deployment: bytes, milliseconds to render, and what they read.

The records are those of tests/browser/volume.py: a batch of ENTRIES jobs, 60 batches in all states,
SCHEDULES schedules, every failure code. They are in moto, in this process, so a page's time has
neither a network nor DynamoDB's own in it, but moto's, which is longer.

Each page is requested twice by an admin, as a browser does: the second time with the ETag of the
first, which is a poll. `bytes` are those of the page as it is sent, compressed. A read is an item
that DynamoDB returns; requests to S3 are counted apart. There is no peer: the bounds are those of
the design.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.output import Figures, main, rounded, say
from tests.browser.volume import Volume, store_volume
from tests.functions.api.schedule_records import items_read
from tests.functions.web.browser import Browser
from tests.moto_deployment import deployed, empty_site

ENTRIES = 100_000
SCHEDULES = 500
RUNS = 3
_S3 = "requests to S3"


class WrongPage(Exception):
    """A page was not shown, or a poll found something new. The message has its address."""


def measure() -> Figures:
    """Bytes, milliseconds and reads of every page, and of a poll that finds nothing new."""
    with (
        deployed() as deployment,
        pytest.MonkeyPatch.context() as patch,
        empty_site(deployment, patch) as browser,
        _quiet(browser.function.LOGGER),
    ):
        browser.sign_in("admin")
        settings = browser.function.SITE.settings
        volume = store_volume(settings, entries=ENTRIES, schedules=SCHEDULES)
        pages = {
            name: _measure_page(browser, address) for name, address in volume.addresses.items()
        }
        poll_reads = _poll_reads(browser, volume)
    for name, page in pages.items():
        say(f"{name:18} {page['bytes']:>7,} bytes {page['ms']:>7.1f} ms {page['reads']:>5} reads")
    batch = pages["batch"]
    return {
        "entries": ENTRIES,
        "largest_bytes": max(page["bytes"] for page in pages.values()),
        "slowest_ms": max(page["ms"] for page in pages.values()),
        "most_reads": max(page["reads"] for page in pages.values()),
        "home_bytes": pages["home"]["bytes"],
        "home_reads": pages["home"]["reads"],
        "batch_bytes": batch["bytes"],
        "batch_ms": batch["ms"],
        "batch_reads": batch["reads"],
        "batch_poll_reads": poll_reads,
        "failed_jobs_reads": pages["jobs-failed"]["reads"],
    }


@contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Log errors only. All functions of a process share the logger."""
    before = logger.log_level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _measure_page(browser: Browser, address: str) -> dict[str, Any]:
    """The figures of one page. The first request is not timed: it loads code and counts jobs."""
    first = browser.get(address, accept_encoding="gzip")
    if first.status >= 500:
        raise WrongPage(f"{address} answers {first.status}")
    times = []
    with _reads(browser) as found:
        for _ in range(RUNS):
            began = time.perf_counter()
            again = browser.get(address, accept_encoding="gzip")
            times.append((time.perf_counter() - began) * 1000)
    size = again.sent_bytes
    return {"bytes": size, "ms": rounded(times, 1), "reads": _items(found) // RUNS}


def _items(found: Counter[str]) -> int:
    """How many of the reads were of items."""
    return found.total() - found[_S3]


def _poll_reads(browser: Browser, volume: Volume) -> int:
    """What a poll of the large batch reads if nothing has changed."""
    address = volume.addresses["batch"]
    etag = browser.get(address).headers["etag"]
    with _reads(browser) as found:
        status = browser.get(address, if_none_match=etag, x_poll="1").status
    if status != 304:
        raise WrongPage(f"a poll of {address} answers {status}")
    return _items(found)


@contextmanager
def _reads(browser: Browser) -> Iterator[Counter[str]]:
    """The items that DynamoDB returns in the block, and the requests to S3."""
    events = browser.function.SITE.s3.meta.events
    with items_read() as found:

        def count_request(**_: Any) -> None:
            found[_S3] += 1

        events.register("after-call.s3", count_request)
        try:
            yield found
        finally:
            events.unregister("after-call.s3", count_request)


if __name__ == "__main__":
    main("pages", measure)
