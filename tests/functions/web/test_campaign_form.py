"""The form of a campaign: targets that are checked, a preview that starts nothing, a retry."""

from dataclasses import replace
from datetime import date
from typing import Any

import boto3
import pytest

from jobyard.domain.campaigns.rollout import Rollout
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.calendar import Calendar, Excluded
from jobyard.store import campaigns
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.campaign_requests import IMAGE
from tests.functions.web.browser import Browser, Page

FIELDS: dict[str, Any] = {
    "name": "Gateways to 4.2.0",
    "job_type": "device-update",
    **{f"parameter-{name}": value for name, value in IMAGE.items()},
    "targets": "id,address\ngw-1,gw-1.example.org\ngw-2,gw-2.example.org\n",
    "kind": "scheduled",
    "to": "2026-12-31",
    "zone": "Europe/Zurich",
    "window_from": "22:00",
    "window_to": "02:00",
    "weekdays": ["fri"],
}


def _send(browser: Browser, action: str, **changes: Any) -> Page:
    """The answer to the form of a new campaign."""
    form = browser.get("/campaigns/new").forms["/campaigns/new"]
    return browser.post("/campaigns/new", form | FIELDS | {"action": action} | changes)


def _put_file(key: str, text: str) -> None:
    """Upload a file of targets, as the browser does."""
    boto3.client("s3").put_object(Bucket="intake", Key=key, Body=text.encode())


def _stored() -> list[str]:
    return [each.campaign_id for each in campaigns.newest(10).items]


def test_a_campaign_is_started(browser: Browser) -> None:
    browser.sign_in("admin")

    started = _send(browser, "start", per_minute="50", factor="1.5", percent="20")
    campaign = campaigns.get(started.location.removeprefix("/campaigns/"))

    assert started.status == 303
    assert (campaign.name, campaign.tasks, campaign.parameters) == ("Gateways to 4.2.0", 2, IMAGE)
    assert campaign.rules.schedule.description().startswith("On Friday from 22:00")
    assert campaign.rules.rollout
    assert (campaign.rules.rollout.per_minute, campaign.rules.rollout.factor) == (50, 1.5)
    assert campaign.rules.abort
    assert campaign.rules.abort.percent == 20


def test_a_form_that_is_sent_twice_starts_one_campaign(browser: Browser) -> None:
    browser.sign_in("admin")
    form = browser.get("/campaigns/new").forms["/campaigns/new"]
    fields = form | FIELDS | {"action": "start"}

    first, second = (browser.post("/campaigns/new", fields) for _ in range(2))

    assert first.location == second.location
    assert len(_stored()) == 1


def test_a_campaign_at_once_ignores_the_window(browser: Browser) -> None:
    browser.sign_in("admin")

    started = _send(browser, "start", kind="once", expires_min="45")
    campaign = campaigns.get(started.location.removeprefix("/campaigns/"))

    assert campaign.rules.schedule.description() == "At once, for 45 minutes"


def test_a_range_may_begin_and_end_at_a_time_and_nobody_may_get_a_report(browser: Browser) -> None:
    browser.sign_in("admin")
    times = {"from": "2026-11-21", "from_time": "06:00", "to": "2026-12-31", "to_time": "18:00"}

    started = _send(browser, "start", **times, notify_nobody="1")
    campaign = campaigns.get(started.location.removeprefix("/campaigns/"))

    document = campaign.rules.schedule.document()
    assert (document["from"], document["to"]) == ("2026-11-21T06:00", "2026-12-31T18:00")
    assert campaign.notify == ()
    assert "10 for Device update, 0 for Device information" in browser.get("/campaigns/new").text


def test_a_preview_shows_openings_forecast_and_simulation_and_starts_nothing(
    browser: Browser,
) -> None:
    browser.sign_in("admin")

    page = _send(browser, "preview", takes_min="3", offline="50")

    assert page.status == 200
    for text in (
        "On Friday from 22:00 to 02:00", "Fri 2026-11-20 22:00 CET", "2 targets", "Simulation",
        "Succeeded at Fri 2026-11-20 22:", "2 of 2 tasks succeed", "Tasks that end over time",
    ):  # fmt: skip
        assert text in page.text, text
    assert _stored() == []
    assert "gw-2.example.org" in page.html


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": "2026-11-01"}, "range"),
        ({"window_to": "22:00"}, "whole day"),
        ({"needs": "often"}, "whole number of minutes from 0 to 600"),
        ({"per_minute": "0"}, "whole number from 1 to 1,000"),
        ({"factor": "nine"}, "number from 1 to 5"),
        ({"percent": "200"}, "from 1 to 100"),
        ({"at_once": "5000"}, "whole number from 1 to 1,000"),
        ({"zone": "Zurich"}, "zone"),
        ({"parameter-sha256": "abc"}, "64 hexadecimal digits"),
        ({"parameter-models": "[1"}, "not JSON"),
        ({"targets": ""}, "1 error"),
        ({"targets": "id,address\ngw-1,a b"}, "Line 2, column 6"),
        (
            {"targets": "id\na b", "zone": "X"},
            "2 fields are not valid: Targets, one on each line; Time",
        ),
        ({"replaces": "cabc"}, "id of a campaign"),
        ({"calendar": "none"}, "name of a calendar"),
        ({"from_time": "18:00"}, "Give its day too"),
        ({"notify": "a@example.org", "notify_nobody": "1"}, "Leave it empty if nobody"),
        ({"notify": "nobody, a@b@c"}, "nobody: it has no @"),
        ({"kind": "once", "expires_min": "1"}, "A whole number of minutes from 5 to 10,080"),
        (
            {"at_once": "0", "zone": "Zurich"},
            "2 fields are not valid: Time zone; Tasks at the same time.",
        ),
    ],
)
def test_what_is_wrong_is_shown_and_what_was_typed_is_kept(
    browser: Browser, changes: dict[str, str], message: str
) -> None:
    browser.sign_in("admin")

    for action in ("preview", "start"):
        page = _send(browser, action, **changes)

        assert (page.status, message in page.text) == (422, True)
        assert page.alert
        assert "updates.example.org" in page.html
        assert all(value in page.html for value in changes.values())
    assert _stored() == []


def test_pasted_targets_are_checked_with_line_and_column(browser: Browser) -> None:
    browser.sign_in("admin")
    csrf = browser.get("/campaigns/new").forms["/campaigns/new"]["csrf"]

    def check(text: str) -> Page:
        headers = {"sec-fetch-site": "same-origin", "x-csrf-token": csrf}
        address = "/campaigns/targets/check"
        return browser.send("POST", address, fields={text: ""}, headers=headers)

    assert "Line 1, column 1" in check("name").text
    assert check("name").status == 200


@pytest.mark.parametrize("role", ["viewer", "operator", "depositor"])
def test_only_admins_start_campaigns(browser: Browser, role: str) -> None:
    browser.sign_in("admin")
    form = browser.get("/campaigns/new").forms["/campaigns/new"]
    browser.sign_in(role, name="admin")

    assert browser.get("/campaigns/new").status == 403
    assert browser.post("/campaigns/new", form | FIELDS | {"action": "start"}).status == 403
    assert browser.post("/campaigns/targets/check", form).status == 403
    assert 'href="/campaigns/new"' not in browser.get("/campaigns").html


def test_the_tasks_that_failed_are_retried_by_a_new_campaign(browser: Browser) -> None:
    before = a_campaign(browser.function.SITE.settings, "partially_succeeded")
    before = put_tasks(before, ["succeeded", "failed"])
    address = f"/campaigns/{before.campaign_id}/retry"
    browser.sign_in("operator")
    form = browser.get(address)
    fields = {"to": "2027-01-31", "weekdays": ["fri"], "notify": "team@example.org"}

    preview = browser.post(address, form.forms[address] | fields | {"action": "preview"})
    refused = browser.submit(form, address)
    started = browser.post(address, form.forms[address] | fields | {"action": "start"})
    campaign = campaigns.get(started.location.removeprefix("/campaigns/"))

    assert "for the one task that has not succeeded" in form.text
    assert "1 target" in preview.text
    assert (refused.status, "Missing; a date" in refused.text) == (422, True)
    assert (campaign.retry_of, campaign.tasks) == (before.campaign_id, 1)
    assert campaign.notify == ("team@example.org",)
    assert campaign.rules.schedule.window == before.rules.schedule.window
    assert campaign.parameters == before.parameters


def test_only_admins_retry_with_other_parameters(browser: Browser) -> None:
    parameters = {**IMAGE, "models": ["GW-1"]}
    before = a_campaign(
        browser.function.SITE.settings, "cancelled", request={"parameters": parameters}
    )
    address = f"/campaigns/{before.campaign_id}/retry"
    browser.sign_in("operator")
    form = browser.get(address)
    fields = form.forms[address] | {"to": "2027-01-31", "weekdays": ["fri"], "action": "start"}
    other = fields | {"parameter-image": "https://other.example.org/image"}

    refused = browser.post(address, other)
    as_before = browser.post(address, fields)
    browser.sign_in("admin", name="operator")
    changed = browser.post(address, other | {"key": "another-key"})

    assert "disabled><legend>Parameters" in form.html
    assert "Only an admin may change these." in form.text
    assert "Only an admin may change these." not in browser.get(address).text
    assert (refused.status, "Only an admin may start a campaign" in refused.text) == (403, True)
    retried, new = (
        campaigns.get(each.location.removeprefix("/campaigns/")) for each in (as_before, changed)
    )
    assert retried.parameters == parameters
    assert new.parameters == parameters | {"image": "https://other.example.org/image"}


def test_a_retry_keeps_a_calendar_that_was_given_as_json(browser: Browser) -> None:
    before = a_campaign(browser.function.SITE.settings, "cancelled")
    calendar = Calendar("nights", exclude=(Excluded(date(2026, 12, 24), date(2026, 12, 26)),))
    schedule = replace(before.rules.schedule, calendar=calendar)
    after = replace(
        before, rules=replace(before.rules, schedule=schedule), version=before.version + 1
    )
    campaigns.write(before, after)
    address = f"/campaigns/{before.campaign_id}/retry"
    browser.sign_in("operator")

    started = browser.submit(browser.get(address), address, to="2027-01-31")

    retried = campaigns.get(started.location.removeprefix("/campaigns/"))
    assert retried.rules.schedule.calendar == calendar


def test_a_rate_is_changed_in_part_and_removed(browser: Browser) -> None:
    rate = {"per_minute": 50, "factor": 1.5, "every": 20}
    campaign_id = a_campaign(browser.function.SITE.settings, request={"rollout": rate}).campaign_id
    browser.sign_in("operator")

    _change(browser, campaign_id, per_minute="10")
    assert campaigns.get(campaign_id).rules.rollout == Rollout(10, 1.5, 20)
    _change(browser, campaign_id, factor="")
    assert campaigns.get(campaign_id).rules.rollout == Rollout(10, 1.0, 20)
    _change(browser, campaign_id, per_minute="")
    assert campaigns.get(campaign_id).rules.rollout is None


def test_a_campaign_that_runs_is_not_retried(browser: Browser) -> None:
    campaign = a_campaign(browser.function.SITE.settings)
    address = f"/campaigns/{campaign.campaign_id}/retry"
    browser.sign_in("operator")
    ended = replace(campaign, state=JobState.FAILED, version=campaign.version + 1)

    refused = browser.submit(browser.get(address), address, to="2027-01-31")

    assert refused.status == 409
    assert "has not ended" in refused.alert
    campaigns.write(campaign, ended)
    assert browser.submit(browser.get(address), address, to="2027-01-31").location


def _change(browser: Browser, campaign_id: str, action: str = "save", **fields: str) -> Page:
    address = f"/campaigns/{campaign_id}/change"
    form = browser.get(address).forms[address]
    return browser.post(address, form | {"action": action, "reason": "more time"} | fields)


def test_a_campaign_gets_a_later_end_and_another_rate(browser: Browser) -> None:
    campaign_id = a_campaign(browser.function.SITE.settings).campaign_id
    browser.sign_in("operator")

    preview = _change(browser, campaign_id, "preview", to="2027-02-28")
    unchanged = campaigns.get(campaign_id).rules
    saved = _change(browser, campaign_id, to="2027-02-28", per_minute="20", at_once="7")
    changed = campaigns.get(campaign_id).rules

    assert (preview.status, "until 28 February 2027" in preview.text) == (200, True)
    assert unchanged.at_once == 100
    assert saved.location == f"/campaigns/{campaign_id}"
    assert changed.schedule.document()["to"] == "2027-02-28"
    assert (changed.at_once, changed.rollout and changed.rollout.per_minute) == (7, 20)
    assert "more time" in browser.get(f"/campaigns/{campaign_id}").text


def test_a_change_leaves_what_another_person_changed_meanwhile(browser: Browser) -> None:
    campaign_id = a_campaign(browser.function.SITE.settings).campaign_id
    browser.sign_in("operator")
    address = f"/campaigns/{campaign_id}/change"
    form = browser.get(address).forms[address]
    _change(browser, campaign_id, at_once="7")

    fields = form | {"action": "save", "reason": "more time", "to": "2027-02-28"}
    assert browser.post(address, fields).status == 303

    assert campaigns.get(campaign_id).rules.at_once == 7


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "at least one change"),
        ({"to": "2026-11-21"}, "Later than"),
        ({"at_once": "0"}, "whole number from 1 to 1,000"),
        ({"per_minute": "20", "reason": ""}, "reason"),
    ],
)
def test_a_change_that_is_refused_keeps_what_was_typed(
    browser: Browser, fields: dict[str, str], message: str
) -> None:
    campaign_id = a_campaign(browser.function.SITE.settings).campaign_id
    browser.sign_in("operator")

    page = _change(browser, campaign_id, **fields)

    assert page.status == 422
    assert message in page.text
    assert page.alert
    assert all(f'value="{text}"' in page.html for text in fields.values() if text)


def test_a_viewer_changes_nothing(browser: Browser) -> None:
    campaign_id = a_campaign(browser.function.SITE.settings).campaign_id
    browser.sign_in("viewer")

    page = browser.get(f"/campaigns/{campaign_id}")

    assert browser.get(f"/campaigns/{campaign_id}/change").status == 403
    assert browser.get(f"/campaigns/{campaign_id}/retry").status == 403
    assert "Only an operator or an admin may change a campaign" in page.text


def test_the_targets_may_be_in_a_file_that_was_uploaded(browser: Browser) -> None:
    browser.sign_in("admin")
    csrf = browser.get("/campaigns/new").forms["/campaigns/new"]["csrf"]
    given = browser.post("/campaigns/targets", {"csrf": csrf, "filename": "gateways.csv"})
    key = given.html.partition('data-key="')[2].partition('"')[0]

    missing = _send(browser, "preview", targets="", targets_file=key)
    _put_file(key, "id\n" + "gw 1\n" * 7)
    wrong = _send(browser, "preview", targets="", targets_file=key)
    _put_file(key, "id\n" + "".join(f"gw-{number}\n" for number in range(1_200)))
    preview = _send(browser, "preview", targets="", targets_file=key)
    started = _send(browser, "start", targets="", targets_file=key)

    assert (missing.status, "no file was uploaded" in missing.text) == (422, True)
    assert (wrong.status, "1 field is not valid" in wrong.alert) == (422, True)
    assert "line 3, column 1" in wrong.text
    assert ("1,200 targets" in preview.text, key in preview.html) == (True, True)
    assert campaigns.get(started.location.removeprefix("/campaigns/")).tasks == 1_200
    assert "read from gateways.csv" in browser.get(started.location).text
    assert "still being read" in browser.get(f"{started.location}/tasks").text


def test_a_simulation_that_would_take_too_long_is_left_out_of_the_preview(browser: Browser) -> None:
    targets = "\n".join(["id", *(f"gw-{number}" for number in range(100))])
    browser.sign_in("admin")

    page = _send(
        browser, "preview", targets=targets, to="2027-11-01", window_from="", window_to="",
        weekdays=[], takes_min="1440", attempt_s="60", retry_s="30",
    )  # fmt: skip

    assert page.status == 200
    assert "It cannot be simulated here" in page.text
    assert "100 targets" in page.text


def test_a_preview_names_older_campaigns_on_the_same_targets(browser: Browser) -> None:
    older = a_campaign(browser.function.SITE.settings, request={"name": "Gateways to 4.1.9"})
    browser.sign_in("admin")

    both = _send(browser, "preview")
    replacing = _send(browser, "preview", replace_overlapping="1")

    assert f'href="/campaigns/{older.campaign_id}"' in both.html
    assert "Gateways to 4.1.9 : 2 of its 2 tasks" in both.text
    assert "one waits for the other" in both.text
    assert "Those that have not ended are replaced." in replacing.text


def test_a_campaign_is_reported_to_the_addresses_in_its_form(browser: Browser) -> None:
    browser.sign_in("admin")

    bad = _send(browser, "start", notify="team@example.org, nobody")
    preview = _send(browser, "preview", notify="nobody")
    started = _send(browser, "start", notify="team@example.org, ops@example.org")

    for page in (bad, preview):
        assert (page.status, "Report to nobody" in page.text) == (422, True)
    campaign = campaigns.get(started.location.removeprefix("/campaigns/"))
    assert campaign.notify == ("team@example.org", "ops@example.org")
    assert _stored() == [campaign.campaign_id]
