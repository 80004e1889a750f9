"""The pages of campaigns: the list, one with its tasks, and what people do with it."""

from typing import Any

import pytest

from jobyard.domain.batches.report import Delivery, DeliveryState, ReportKind
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.store import campaigns, reports
from jobyard.store.tables import CampaignItem
from tests.functions.api.batch_records import a_report_of
from tests.functions.api.campaign_records import a_campaign, a_task, put_tasks
from tests.functions.web.browser import Browser, Page

STATES = {
    "scheduled": "Scheduled",
    "running": "Running",
    "paused": "Paused",
    "held": "Paused",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "partially_succeeded": "Partially Succeeded",
    "cancelled": "Cancelled Manually",
    "replaced": "Replaced",
}


def _campaign(browser: Browser, state: str = "running", **changes: Any) -> Campaign:
    return a_campaign(browser.function.SITE.settings, state, **changes)


def _event(browser: Browser, campaign: Campaign, event: str, **fields: str) -> Page:
    """The answer to a form of the page of a campaign."""
    address = f"/campaigns/{campaign.campaign_id}"
    return browser.submit(browser.get(address), f"{address}/{event}", **fields)


def test_the_list_has_each_state_in_the_words_of_users(browser: Browser) -> None:
    for state in STATES:
        _campaign(browser, state)
    browser.sign_in("viewer")

    page = browser.get("/campaigns")

    assert [label for label in STATES.values() if label not in page.text] == []
    assert "0 of 2 tasks done" in page.text
    assert "22:00 to 02:00" in page.text


def test_the_list_is_filtered_by_state(browser: Browser) -> None:
    held, paused = (_campaign(browser, state) for state in ("held", "paused"))
    failed = _campaign(browser, "failed")
    browser.sign_in("viewer")

    page = browser.get("/campaigns?state=paused")

    assert held.campaign_id in page.html
    assert paused.campaign_id in page.html
    assert failed.campaign_id not in page.html


def test_a_campaign_that_cannot_be_read_is_unknown(browser: Browser) -> None:
    campaign, other = _campaign(browser), _campaign(browser)
    item = CampaignItem.get(campaign.campaign_id)
    item.body["rules"] = {"kind": "often"}
    item.save()
    browser.sign_in("viewer")

    for address in ("/campaigns", "/campaigns?state=unknown"):
        page = browser.get(address)
        assert (page.status, "Unknown" in page.text) == (200, True)
        assert campaign.campaign_id in page.html
    assert other.campaign_id not in browser.get("/campaigns?state=unknown").html
    assert "its record cannot be read" in browser.get(f"/campaigns/{campaign.campaign_id}").text


def test_the_list_has_pages_that_keep_the_filter(browser: Browser) -> None:
    for _ in range(52):
        _campaign(browser, "paused", request={"targets": ["gw-1"]})
    browser.sign_in("viewer")

    first = browser.get("/campaigns?state=paused")
    following = first.html.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    second = browser.get(following.replace("&amp;", "&"))

    assert first.html.count("<tr id=") == 50
    assert second.html.count("<tr id=") == 2


def test_one_campaign_shows_job_state_schedule_tasks_and_steps(browser: Browser) -> None:
    campaign = put_tasks(_campaign(browser), ["succeeded", "rescheduled"])
    browser.sign_in("viewer")

    page = browser.get(f"/campaigns/{campaign.campaign_id}")

    for text in (
        "Gateways to 4.2.0", "Device update", "Running", "1 of 2 tasks are done.",
        "Fri 2026-11-20 22:00 CET", "Sat 02:00 CET", "gw-1.example.org", "gw-2", "Rescheduled",
        "DEVICE_OFFLINE", "its window is closed", "2 of 5 done", "upload",
    ):  # fmt: skip
        assert text in page.text, text
    assert f"/campaigns/{campaign.campaign_id}/tasks?state=succeeded" in page.html


def test_tasks_are_listed_in_pages_and_by_state(browser: Browser) -> None:
    targets = [f"gw-{number}" for number in range(120)]
    campaign = _campaign(browser, request={"targets": targets})
    campaign = put_tasks(campaign, ["succeeded"] * 60 + ["failed"] * 3)
    address = f"/campaigns/{campaign.campaign_id}/tasks"
    browser.sign_in("viewer")

    seen: list[int] = []
    following = address
    while following:
        page = browser.get(following)
        seen.append(page.html.count("<tr id="))
        link = page.html.partition('rel="next"')
        following = link[0].rpartition('href="')[2].partition('"')[0] if link[1] else ""
    failed = browser.get(f"{address}?state=failed")

    assert seen == [50, 50, 20]
    assert failed.html.count("<tr id=") == 3
    assert "VERIFY_FAILED" in failed.text


def test_the_page_of_a_task_has_its_steps_and_what_to_do_at_the_device(browser: Browser) -> None:
    campaign = _campaign(browser)
    a_task(campaign, 0, "failed")
    a_task(campaign, 1, "succeeded")
    browser.sign_in("viewer")

    failed = browser.get(f"/jobs/{campaign.campaign_id}.0.0")
    succeeded = browser.get(f"/jobs/{campaign.campaign_id}.0.1")

    assert f'href="/campaigns/{campaign.campaign_id}"' in failed.html
    assert "/batches/" not in failed.html
    for text in ("Started at", "Skipped at", "Completed at", "At the device, step verify"):
        assert text in failed.text
    assert "does not run the new version" in failed.text
    assert "At the device" not in succeeded.text


def test_the_page_of_a_task_has_the_state_and_the_reason_of_the_list(browser: Browser) -> None:
    campaign = _campaign(browser)
    a_task(campaign, 0, "rescheduled")
    browser.sign_in("viewer")

    page = browser.get(f"/jobs/{campaign.campaign_id}.0.0")

    assert 'href="/lifecycles/task?state=rescheduled"' in page.html
    assert "Rescheduled its window is closed" in page.text


def test_a_campaign_is_found_by_its_id_and_by_its_name(browser: Browser) -> None:
    campaign = _campaign(browser)
    browser.sign_in("viewer")

    by_id = browser.get(f"/find?q={campaign.campaign_id}")
    by_name = browser.get("/find?q=gateways")
    by_creator = browser.get("/find?q=admin")
    browser.sign_in("depositor")
    hidden = browser.get("/find?q=gateways")

    assert by_id.location == f"/campaigns/{campaign.campaign_id}"
    assert f'href="/campaigns/{campaign.campaign_id}"' in by_name.html
    assert "its creator" in by_creator.text
    assert campaign.campaign_id not in hidden.html


def test_a_campaign_is_paused_resumed_cancelled_and_forced(browser: Browser) -> None:
    campaign = _campaign(browser)
    browser.sign_in("operator")

    paused = _event(browser, campaign, "pause", reason="the line moves")
    page = browser.get(f"/campaigns/{campaign.campaign_id}")
    resumed = _event(browser, campaign, "resume", reason="it is back")
    cancelled = _event(browser, campaign, "cancel", reason="another version is out")
    forced = _event(browser, campaign, "force", reason="it must end now")

    assert [each.status for each in (paused, resumed, cancelled, forced)] == [303] * 4
    assert "held by operator: the line moves" in page.text
    assert f"/campaigns/{campaign.campaign_id}/pause" not in page.forms
    stopped = campaigns.get(campaign.campaign_id)
    assert (stopped.state, stopped.is_forced) == ("stopping", True)


def test_an_event_that_is_refused_keeps_what_was_typed(browser: Browser) -> None:
    campaign = _campaign(browser)
    browser.sign_in("operator")
    page = browser.get(f"/campaigns/{campaign.campaign_id}")
    _event(browser, campaign, "pause", reason="the first")

    address = f"/campaigns/{campaign.campaign_id}/pause"
    refused = browser.submit(page, address, reason="the second")

    assert refused.status == 409
    assert "held by operator: the first" in refused.alert


@pytest.mark.parametrize(
    ("role", "statuses"), [("viewer", {403}), ("depositor", {403}), ("operator", {303})]
)
def test_only_operators_and_admins_pause(browser: Browser, role: str, statuses: set[int]) -> None:
    campaign = _campaign(browser)
    browser.sign_in("operator")
    form = browser.get(f"/campaigns/{campaign.campaign_id}")
    address = f"/campaigns/{campaign.campaign_id}/pause"
    fields = form.forms[address] | {"reason": "because"}
    browser.sign_in(role, name="operator")

    assert {browser.post(address, fields).status} == statuses


def test_events_that_are_not_open_say_why(browser: Browser) -> None:
    campaign = _campaign(browser, "succeeded")
    browser.sign_in("viewer")
    viewed = browser.get(f"/campaigns/{campaign.campaign_id}")
    browser.sign_in("operator")
    operated = browser.get(f"/campaigns/{campaign.campaign_id}")

    assert "Only an operator or an admin may pause a campaign" in viewed.text
    assert "It has ended" in operated.text
    assert f"/campaigns/{campaign.campaign_id}/pause" not in operated.forms


@pytest.mark.parametrize("path", ["/", "/activity"])
def test_acts_lead_to_their_campaign(browser: Browser, path: str) -> None:
    campaign = _campaign(browser)
    browser.sign_in("operator")
    _event(browser, campaign, "cancel", reason="another version is out")

    assert f'href="/campaigns/{campaign.campaign_id}"' in browser.get(path).html


def test_a_hold_on_a_campaign_is_in_the_list_of_holds(browser: Browser) -> None:
    campaign = _campaign(browser)
    browser.sign_in("operator")
    _event(browser, campaign, "pause", reason="the line moves")

    assert f"{campaign.name} job on devices {campaign.campaign_id}" in browser.get("/holds").text


def test_without_campaigns_the_list_says_what_one_is(browser: Browser) -> None:
    browser.sign_in("viewer")

    assert "No jobs yet" in browser.get("/campaigns").text
    assert "No job is in this state" in browser.get("/campaigns?state=failed").text


def test_the_home_page_has_the_active_campaigns(browser: Browser) -> None:
    running, ended = _campaign(browser), _campaign(browser, "succeeded")
    put_tasks(running, ["succeeded", "failed"])
    browser.sign_in("viewer")

    page = browser.get("/")
    browser.sign_in("depositor")
    hidden = browser.get("/")

    assert f'href="/campaigns/{running.campaign_id}"' in page.html
    assert "2 of 2 done" in page.text
    assert ended.campaign_id not in page.html
    assert running.campaign_id not in hidden.html


def test_the_reports_of_a_campaign_are_listed_with_their_delivery_and_files(
    browser: Browser,
) -> None:
    campaign = _campaign(browser, "failed", last_report=2, notify=("team@example.org",))
    at = f"/campaigns/{campaign.campaign_id}/reports"
    browser.sign_in("viewer")
    assert "No report yet" in browser.get(at).text
    a_report_of(campaign.campaign_id, 1, kind=ReportKind.HELD, subject="Gateways are paused")
    a_report_of(campaign.campaign_id, 2, subject="Gateways failed")

    page = browser.get(at)
    file = browser.get(f"{at}/2/jobs.csv")

    shown = page.text
    assert shown.index("Report 2: Gateways failed") < shown.index("Report 1: Gateways are paused")
    for text in ("Delivered", "admin@example.org", "too many tasks failed", "All tasks (CSV)"):
        assert text in shown, text
    assert (file.status, f"{campaign.campaign_id}/0002/jobs.csv" in file.location) == (303, True)
    for missing in ("3/jobs.csv", "2/report.html", "2/outcomes"):
        assert browser.get(f"{at}/{missing}").status == 404
    assert "team@example.org" in browser.get(f"/campaigns/{campaign.campaign_id}").text


def test_the_reports_are_polled_until_the_last_one_is_written(browser: Browser) -> None:
    due, reported, running = (
        _campaign(browser, "failed", due_report=ReportKind.FIRST),
        _campaign(browser, "failed"),
        _campaign(browser),
    )
    browser.sign_in("viewer")

    polls = [
        browser.get(f"/campaigns/{each.campaign_id}/reports").headers["x-next-poll"]
        for each in (due, reported, running)
    ]

    assert polls == ["10", "0", "10"]


def test_an_admin_sends_the_report_of_a_campaign_again(browser: Browser) -> None:
    campaign = _campaign(browser, "failed", last_report=1)
    a_report_of(campaign.campaign_id)
    at = f"/campaigns/{campaign.campaign_id}/reports"
    browser.sign_in("admin")
    page = browser.get(at)

    unexplained = browser.submit(page, f"{at}/1/resend", reason="")
    sent = browser.submit(page, f"{at}/1/resend", reason="they lost it")
    again = browser.submit(page, f"{at}/1/resend", reason="they lost it too")

    assert unexplained.status == 422
    assert (sent.status, sent.location) == (303, at)
    assert reports.get(campaign.campaign_id, 1).delivery.state == "queued"
    assert again.status == 409
    assert "its mail waits to be sent already" in again.alert
    assert f'href="/campaigns/{campaign.campaign_id}"' in browser.get("/activity").html


def test_an_operator_sees_who_may_send_the_report_of_a_campaign_again(browser: Browser) -> None:
    campaign = _campaign(browser, "failed", last_report=1)
    a_report_of(campaign.campaign_id)
    at = f"/campaigns/{campaign.campaign_id}/reports"
    browser.sign_in("operator")
    page = browser.get(at)

    forged = browser.post(f"{at}/1/resend", page.forms["/sign-out"] | {"reason": "x"})

    assert "Only an admin may send again a report of a campaign" in page.text
    assert forged.status == 403
    assert reports.get(campaign.campaign_id, 1).delivery.state == "delivered"


def test_a_lost_mail_of_a_campaign_leads_to_its_reports(browser: Browser) -> None:
    campaign = _campaign(browser, "failed", last_report=1)
    now = browser.function.SITE.now()
    lost = Delivery(DeliveryState.BOUNCED, now, error="no such mailbox")
    a_report_of(campaign.campaign_id, created_at=now, delivery=lost)
    at = f"/campaigns/{campaign.campaign_id}/reports"
    browser.sign_in("admin")

    system, home = browser.get("/system"), browser.get("/")

    assert f'href="{at}"' in system.html
    assert f'href="{at}"' in home.html
    sent = browser.submit(system, f"{at}/1/resend", reason="a typing error")
    assert (sent.status, sent.location) == (303, at)


def test_one_task_of_a_campaign_is_cancelled_and_requeued_on_its_page(browser: Browser) -> None:
    campaign = _campaign(browser)
    put_tasks(campaign, ["failed", "rescheduled"])
    failed, waiting = (f"/jobs/{campaign.campaign_id}.0.{number}" for number in (0, 1))
    browser.sign_in("operator")

    page = browser.get(failed)
    requeued = browser.submit(page, f"{failed}/requeue", reason="the device is back")
    cancelled = browser.submit(browser.get(waiting), f"{waiting}/cancel", reason="not this one")

    assert "runs again from the step that failed" in page.text
    assert [each.status for each in (requeued, cancelled)] == [303, 303]
    for address, reason in ((failed, "the device is back"), (waiting, "not this one")):
        assert reason in browser.get(address).text
