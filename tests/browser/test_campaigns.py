"""Campaigns in a real browser: start one with a file that is corrected, and act on one."""

import pytest
from playwright.sync_api import Page, Route, expect

from jobyard.store import campaigns
from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.campaign_requests import IMAGE

_CSV = "id,address\n"


def _drop(page: Page, text: str, name: str = "gateways.csv") -> None:
    """Drop a file of targets onto its place."""
    page.evaluate(
        """([text, name]) => {
            const files = new DataTransfer();
            files.items.add(new File([text], name, { type: "text/csv" }));
            const drop = new DragEvent("drop", { dataTransfer: files, bubbles: true });
            document.getElementById("drop").dispatchEvent(drop);
        }""",
        [text, name],
    )


def _fill(page: Page) -> None:
    """Fill the form of an update in a window on Fridays."""
    page.get_by_label("Name", exact=True).fill("Gateways to 4.2.0")
    for name, value in IMAGE.items():
        page.fill(f"[name=parameter-{name}]", value)
    page.get_by_label("Last day").fill("2026-12-31")
    page.get_by_label("Fri").check()
    page.get_by_label("Opens at").fill("22:00")
    page.get_by_label("Closes at").fill("02:00")


def test_a_file_of_targets_is_dropped_corrected_previewed_and_started(open_page: Open) -> None:
    page = open_page("admin", "/campaigns/new")
    check = page.locator("#check")
    _fill(page)

    _drop(page, f"{_CSV}gw-1,gw 1\n")
    expect(check).to_contain_text("Line 2, column 6")
    expect(check).to_contain_text("no job could start")
    _drop(page, f"{_CSV}gw-1,gw-1.example.org\ngw-2,gw-2.example.org\n")
    expect(check).to_contain_text("2 targets")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("2 of 2 tasks succeed")).to_be_visible()
    assert campaigns.newest(1).items == ()
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_role("heading", name="Gateways to 4.2.0")).to_be_visible()
    assert [each.tasks for each in campaigns.newest(2).items] == [2]


def test_a_large_file_of_targets_is_uploaded(open_page: Open) -> None:
    sent: list[bytes] = []
    page = open_page("admin", "/campaigns/new")

    def store(route: Route) -> None:
        sent.append(route.request.post_data_buffer or b"")
        route.fulfill(status=204, headers={"Access-Control-Allow-Origin": "*"})

    page.route("**/intake**", store)
    page.route("https://intake.**", store)
    rows = "".join(f"gw-{number},gw-{number}.example.org\n" for number in range(4_000))
    _drop(page, _CSV + rows)

    expect(page.locator("#check")).to_contain_text("gateways.csv is uploaded")
    key = page.locator("#targets_file").input_value()
    assert key.endswith("/gateways.csv")
    assert page.get_by_label("One on each line").input_value() == ""
    assert b"gw-3999,gw-3999.example.org" in sent[0]


@pytest.mark.parametrize("has_script", [True, False])
def test_a_campaign_is_paused_and_resumed_with_a_script_and_without(
    open_page: Open, site: Site, has_script: bool
) -> None:
    campaign = put_tasks(a_campaign(site.browser.function.SITE.settings), ["rescheduled", "failed"])
    address = f"/campaigns/{campaign.campaign_id}"
    page = open_page("operator", address, java_script_enabled=has_script)

    _send(page, "Pause", "the line moves")
    expect(page.get_by_text("held by operator: the line moves").first).to_be_visible()
    _send(page, "Resume", "it is back")

    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_enabled()
    assert page.get_by_text("held by operator").count() == 0


def _send(page: Page, name: str, reason: str) -> None:
    """Send an event with a reason."""
    page.get_by_role("button", name=name, exact=True).click()
    dialog = page.get_by_role("dialog", name=name)
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=name).click()
