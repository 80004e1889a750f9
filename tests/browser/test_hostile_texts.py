"""Names, reasons and messages of attackers are shown as text, and nothing they contain runs."""

import pytest

from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.schedule_records import a_schedule

TEXTS = (
    "<script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 1">',
    "</title><svg onload=window.hit=1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.hit=1",
    "\u202egpj.exe",
)


def _pages_with(text: str, site: Site) -> list[str]:
    """The lists and the pages of a batch, a job, a schedule and a hold with this text as name,
    note, message and reason.
    """
    batch = a_batch("failed", entries=2, filename=text, note=text, failure_message=text)
    job = f"/jobs/{a_job(batch, 0, 'failed', failure_message=text).address.job_id}"
    of_batch = f"/batches/{batch.batch_id}"
    schedule = f"/schedules/{a_schedule(title=text).schedule_id}"
    admin = site.browser.sign_in("admin")
    guards = {"csrf": admin.get("/find").forms["/sign-out"]["csrf"], "reason": text}
    posts = {"/holds": {"kind": "collection", "name": "maps"}, f"{schedule}/suspend": {}}
    for address, fields in (posts | {f"{job}/requeue": {}}).items():
        assert admin.post(address, guards | {"key": address} | fields).status == 303
    lists = ("/", "/batches", "/holds", "/activity", "/job-management")
    return [*lists, of_batch, f"{of_batch}/jobs", job, schedule]


@pytest.mark.turns(3)
@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_is_text_in_the_lists_and_on_its_page(
    open_page: Open, site: Site, text: str
) -> None:
    pages = _pages_with(text, site)
    page = open_page("admin", "/batches")

    for address in (*pages, f"/find?q={text}", f"/batches?collection={text}"):
        page.goto(site.url + address)
        assert page.evaluate("window.hit") is None, address
        assert "49" not in page.title()


def test_a_very_long_name_does_not_make_a_phone_scroll_sideways(
    open_page: Open, site: Site
) -> None:
    pages = _pages_with("long" * 75, site)
    page = open_page("admin", "/batches", width=390)

    for address in (*pages, "/find?q=long"):
        page.goto(site.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
