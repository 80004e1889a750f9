"""The web pages of a full deployment: bytes, milliseconds to render, and what they read.

The records are those of tests/browser/volume.py: a batch of ENTRIES jobs, 60 batches in all states,
SCHEDULES schedules, every failure code. They are in moto, in this process, so a page's time has
neither a network nor DynamoDB's own in it, but moto's, which is longer.

An admin requests each page, and polls those that ask for what has changed with the ETag that they
got. What is measured is a poll right after another one, which finds nothing new. `bytes` are those
of the page as it is sent, compressed. A read is an item that DynamoDB returns; requests to S3 are
counted apart. There is no peer: the bounds are those of the design.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import pytest

from benchmarks.output import Figures, main, rounded, say
from tests.browser.volume import store_volume
from tests.functions.api.schedule_records import items_read
from tests.functions.web.browser import Browser
from tests.moto_deployment import deployed, empty_site

ENTRIES = 100_000
SCHEDULES = 500
RUNS = 3
# The pages that readers share, which many have open: lists, and what is wrong.
SHARED = ("home", "batches", "jobs", "jobs-failed", "job-management", "holds", "system")
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
    for name, page in pages.items():
        say(
            f"{name:18} {page['bytes']:>7,} bytes {page['ms']:>7.1f} ms {page['reads']:>5} reads"
            + ("" if page["poll_reads"] is None else f" {page['poll_reads']:>5} in a poll")
        )
    batch = pages["batch"]
    polled = {
        name: page["poll_reads"] for name, page in pages.items() if page["poll_reads"] is not None
    }
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
        "most_poll_reads": max(polled.values()),
        "shared_poll_reads": max(polled[name] for name in SHARED),
        "batch_poll_reads": polled["batch"],
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
    poll_reads = _poll_reads(browser, address) if int(again.headers["x-next-poll"]) else None
    return {
        "bytes": again.sent_bytes,
        "ms": rounded(times, 1),
        "reads": _items(found) // RUNS,
        "poll_reads": poll_reads,
    }


def _items(found: Counter[str]) -> int:
    """How many of the reads were of items."""
    return found.total() - found[_S3]


def _poll_reads(browser: Browser, address: str) -> int:
    """What a poll of a page reads that finds nothing new, right after another poll."""
    etag = browser.get(address).headers["etag"]
    browser.get(address, if_none_match=etag, x_poll="1")
    with _reads(browser) as found:
        status = browser.get(address, if_none_match=etag, x_poll="1").status
    if status != HTTPStatus.NOT_MODIFIED:
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
