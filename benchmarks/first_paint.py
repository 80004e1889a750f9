"""The first paint of pages of the local stack, in Debian's chromium.

Each page is opened by an admin in a browser that has nothing in its cache, over a batch of JOBS
jobs. The figures are the browser's own (first-contentful-paint): milliseconds from the request to
the first text or picture. The first visit of each page is reported apart, as `cold_ms`: it starts
workers of the function of the pages. There is no peer: the bound is that of the design.
"""

import time

from playwright.sync_api import Browser as Chromium

from benchmarks.output import Figures, main, rounded, say
from benchmarks.stacks import LocalStack, local_stack, manifest, reported_at, send
from tests.browser.tabs import running_chromium
from tests.live.reader import signed_in

JOBS = 1_000
RUNS = 7
_PAINT = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  const found = list.getEntriesByName("first-contentful-paint");
  if (found.length) resolve(found[0].startTime);
}).observe({type: "paint", buffered: true}))"""


def measure() -> Figures:
    """Milliseconds until a page is painted first: of the slowest page, and of each."""
    with local_stack(iam=True) as local, running_chromium() as chromium:
        sent = send(local, manifest(JOBS), f"paint-{time.monotonic_ns()}.checkm")
        reported_at(local, sent, JOBS)
        pages = {
            "home": "/",
            "batches": "/batches",
            "batch": f"/batches/{sent.batch_id}",
            "jobs": f"/batches/{sent.batch_id}/jobs",
            "job_management": "/job-management",
        }
        session = _session(local)
        paints = {
            name: _paints(chromium, local.emulator.web_url + address, session)
            for name, address in pages.items()
        }
    warm = {name: rounded(times[1:], 0) for name, times in paints.items()}
    for name, times in paints.items():
        say(f"{name:18} {warm[name]:>7.0f} ms, at first {times[0]:>7.0f} ms")
    return {
        "slowest_ms": max(warm.values()),
        "cold_ms": round(max(times[0] for times in paints.values())),
        **{f"{name}_ms": each for name, each in warm.items()},
    }


def _session(local: LocalStack) -> list[dict[str, str]]:
    """The cookies of an admin, for a browser's context."""
    with signed_in(local.emulator, "admin") as reader:
        return [
            {"name": each.name, "value": each.value or "", "url": local.emulator.web_url}
            for each in reader.cookies.jar
        ]


def _paints(chromium: Chromium, url: str, session: list[dict[str, str]]) -> list[float]:
    """The first paints of a page: of a first visit, then of RUNS more."""
    found = []
    for _ in range(RUNS + 1):
        context = chromium.new_context()
        context.add_cookies(session)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(url)
        found.append(float(page.evaluate(_PAINT)))
        context.close()
    return found


if __name__ == "__main__":
    main("first_paint", measure)
