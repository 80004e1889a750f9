"""Names, reasons and messages of attackers are shown as text, and nothing they contain runs."""

import pytest

from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.batch_records import a_batch, a_job

TEXTS = (
    "<script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 1">',
    "</title><svg onload=window.hit=1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.hit=1",
    "\u202egpj.exe",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_name_is_text_in_the_list_and_on_its_page(
    open_page: Open, site: Site, text: str
) -> None:
    batch = a_batch("failed", entries=2, filename=text[:120], note=text, failure_message=text)
    job = a_job(batch, 0, "failed", failure_message=text)
    page = open_page("operator", "/batches")

    for address in (
        "/batches",
        f"/batches/{batch.batch_id}",
        f"/batches/{batch.batch_id}/jobs",
        f"/jobs/{job.address.job_id}",
        f"/find?q={text}",
        f"/batches?collection={text}",
    ):
        page.goto(site.url + address)
        assert page.evaluate("window.hit") is None, address
        assert "49" not in page.title()


def test_a_very_long_name_does_not_make_a_phone_scroll_sideways(open_page: Open) -> None:
    batch = a_batch("failed", entries=2, filename="long" * 60 + ".checkm")
    page = open_page("operator", f"/batches/{batch.batch_id}", width=390)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
