"""What administrators do with schedules on the pages."""

import json
from datetime import timedelta

import pytest

from jobyard.domain.batches.report import Delivery, DeliveryState, ReportKind
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.schedule import LatestRun, ScheduleState
from jobyard.store import reports, schedules
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import a_report_of
from tests.functions.api.schedule_records import DAILY, a_schedule, minute, wanted
from tests.functions.web.browser import Browser, Page

NEW = {
    "title": "Nightly sweep",
    "job_type": "sweep",
    "kind": "daily",
    "every": "1",
    "at": "02:30",
    "zone": "America/Los_Angeles",
    "anchor": "2027-03-12",
    "gap": "shift",
    "repeated": "once",
    "missed": "latest",
    "limit": "10",
    "max_age_h": "24",
    "overlap": "forbid",
    "calendar": "",
}


def _new(browser: Browser, action: str, **fields: object) -> Page:

    parameters = {"parameters": json.dumps(wanted()["parameters"])}
    form = browser.get("/schedules/new").forms["/schedules/new"]
    return browser.post("/schedules/new", form | NEW | parameters | {"action": action} | fields)


def test_a_preview_describes_the_rule_and_marks_clock_changes(browser: Browser) -> None:
    browser.sign_in("admin")

    answer = _new(browser, "preview")

    assert answer.status == 200
    assert "Every day at 02:30 (America/Los_Angeles)" in answer.text
    assert "Sat 2027-03-13 02:30 PST" in answer.text
    assert "Sun 2027-03-14 03:00 PDT" in answer.text
    assert "Clocks go forward" in answer.text


def test_a_new_schedule_is_created_and_shown_in_the_words_of_votecal(browser: Browser) -> None:
    browser.sign_in("admin")

    created = _new(browser, "save")

    assert created.status == 303
    details = browser.get(created.location).text
    for words in ("Job Type", "Scheduled Time", "Recurrence pattern", "Completed Job Details"):
        assert words in details
    listed = browser.get("/job-management").text
    for words in ("Job Type", "Status", "Next Scheduled Run Time", "Nightly sweep", "Idle"):
        assert words in listed


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"every": "0"}, "a whole number from 1 to 366"),
        ({"zone": "Mars/Base"}, "not 'Mars/Base'"),
        ({"at": ""}, "missing"),
        ({"parameters": "{"}, "are not JSON"),
        ({"parameters": "[]"}, "Give a JSON object"),
        ({"limit": "many"}, "a whole number from 1 to 1000"),
        ({"notify": "anna at example.org"}, "A mail to anna at example.org: "),
        ({"notify": "eve@example.com"}, "this deployment sends mail to example.org only"),
        ({"overlap": "maybe"}, "Choose one for overlaps"),
        ({"title": ""}, "a title of 1 to 100 letters"),
        ({"job_type": "deposit"}, "cannot run job type"),
        ({"calendar": "no-such"}, "There is no calendar"),
        ({"anchor": "2020-01-01", "count": "1"}, "no future run"),
    ],
)
def test_a_schedule_that_cannot_be_created_says_why_and_keeps_what_was_typed(
    browser: Browser, fields: dict[str, str], words: str
) -> None:
    browser.sign_in("admin")

    answer = _new(browser, "save", **fields)

    assert answer.status == 422
    assert words in answer.alert
    assert "must be missing" not in answer.html
    assert 'value="2027-03-12"' in answer.html or "anchor" in fields


def test_an_edit_shows_the_difference_before_it_is_saved(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}/edit"
    browser.sign_in("admin")
    form = browser.get(at).forms[at] | {"action": "preview", "kind": "daily", "at": "10:00"}

    preview = browser.post(at, form)

    assert "19 of these runs are new" in preview.text  # the last is later than all that are known
    assert "are removed" in preview.text
    assert schedules.get(schedule.schedule_id).rule == schedule.rule


def test_an_edit_is_saved_with_its_reason(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}/edit"
    browser.sign_in("admin")
    form = browser.get(at).forms[at]

    saved = browser.post(
        at, form | {"action": "save", "kind": "daily", "at": "10:00", "reason": "later is better"}
    )

    assert (saved.status, saved.location) == (303, f"/schedules/{schedule.schedule_id}")
    edited = schedules.get(schedule.schedule_id)
    assert (edited.rule.at.hour, edited.history[-1].reason) == (10, "later is better")
    assert (edited.policy, edited.parameters) == (schedule.policy, schedule.parameters)


def _submit_edit(
    browser: Browser, page: Page, address: str, action: str = "save", **fields: str
) -> Page:
    return browser.post(address, page.forms[address] | {"action": action} | fields)


def test_an_edit_that_somebody_else_made_meanwhile_is_not_reverted(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}/edit"
    browser.sign_in("admin")
    stale = browser.get(at)
    _submit_edit(browser, stale, at, title="Theirs", reason="renamed")
    mine = {"title": "Mine", "at": "10:00", "reason": "later"}
    previewed = _submit_edit(browser, stale, at, "preview", **mine)

    refused = _submit_edit(browser, previewed, at, **mine)

    assert refused.status == 409
    assert "edited since you read it by admin: renamed" in refused.alert
    assert "Title now Theirs" in refused.text
    assert refused.forms[at]["title"] == "Mine"
    assert schedules.get(schedule.schedule_id).title == "Theirs"
    assert _submit_edit(browser, refused, at, **mine).status == 303
    assert schedules.get(schedule.schedule_id).title == "Mine"


def test_a_run_meanwhile_does_not_refuse_an_edit(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}"
    browser.sign_in("admin")
    form = browser.get(f"{at}/edit")
    browser.submit(browser.get(at), f"{at}/run_now", reason="to see")

    saved = _submit_edit(browser, form, f"{at}/edit", title="Mine", reason="renamed")

    assert saved.status == 303


def test_the_date_of_a_single_run_is_next_to_its_time(browser: Browser) -> None:
    browser.sign_in("admin")

    html = browser.get("/schedules/new").html

    assert html.index('name="anchor"') < html.index('name="at"') < html.index("<details")


def test_an_edit_without_a_reason_is_refused(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}/edit"
    browser.sign_in("admin")
    form = browser.get(at).forms[at]

    answer = browser.post(at, form | {"action": "save", "kind": "daily", "at": "10:00"})

    assert answer.status == 422
    assert "needs a reason" in answer.alert


def test_a_schedule_is_suspended_resumed_run_and_deleted(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}"
    browser.sign_in("admin")

    def send(event: str, **fields: str) -> Page:
        return browser.submit(browser.get(at), f"{at}/{event}", reason=f"because {event}", **fields)

    assert send("suspend", until="2026-12-24T18:00").location == at
    suspended = schedules.get(schedule.schedule_id)
    assert suspended.state is ScheduleState.SUSPENDED
    assert f"{suspended.resume_at:%Y-%m-%dT%H:%M}" == "2026-12-24T18:00"
    assert send("resume").location == at
    assert send("run_now").location.startswith(f"{at}/history#")
    assert "because run_now" in browser.get(f"{at}/history").text
    refused = browser.post(f"{at}/delete", browser.get(at).forms["/sign-out"] | {"reason": "x"})
    assert refused.status == 409
    assert "is active" in refused.alert or "running" in refused.alert


def test_the_pages_of_a_schedule_ask_sooner_while_it_runs(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}"
    browser.sign_in("admin")
    pages = (at, f"{at}/history")

    idle = [browser.get(each).headers["x-next-poll"] for each in pages]
    browser.submit(browser.get(at), f"{at}/run_now", reason="to see")
    running = [browser.get(each).headers["x-next-poll"] for each in pages]

    assert (idle, running) == (["10", "10"], ["2", "2"])


def test_a_status_has_exactly_the_words_of_votecal(browser: Browser) -> None:
    rule = DAILY | {"anchor": "2026-11-01", "at": "10:34"}
    schedule = minute(a_schedule(rule, since=NOW - timedelta(hours=1)))
    assert schedule.active
    browser.sign_in("admin")
    at = f"/schedules/{schedule.schedule_id}"

    shown = [browser.get(address).text for address in ("/job-management", at, f"{at}/history")]

    assert ["In Progress" in text for text in shown] == [True] * 3
    assert not any("In progress" in text for text in shown)


def test_home_says_that_the_last_run_of_a_schedule_failed(browser: Browser) -> None:
    run = LatestRun(NOW, NOW, JobState.FAILED, NOW)
    schedule = a_schedule(title="Sweep the maps", latest=run)
    browser.sign_in("admin")

    home = browser.get("/")

    assert "Sweep the maps: the last run failed" in home.text
    assert f"/schedules/{schedule.schedule_id}/history" in home.html
    assert "Nothing is wrong" not in home.text


def test_an_event_that_does_not_exist_changes_nothing(browser: Browser) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}"
    browser.sign_in("admin")
    fields = browser.get(at).forms["/sign-out"] | {"reason": "x"}

    assert browser.post(f"{at}/destroy", fields).status == 404
    assert schedules.get(schedule.schedule_id) == schedule


@pytest.mark.parametrize("role", ["viewer", "depositor", "operator", "worker"])
def test_only_administrators_see_or_change_schedules(browser: Browser, role: str) -> None:
    schedule = a_schedule()
    at = f"/schedules/{schedule.schedule_id}"
    browser.sign_in(role)
    fields = browser.get("/find").forms["/sign-out"] | {"reason": "x"}

    assert browser.get("/job-management").status == 403
    assert "Job Management" not in browser.get("/").text
    for event in ("suspend", "run_now", "delete"):
        assert browser.post(f"{at}/{event}", fields).status == 403
    assert schedules.get(schedule.schedule_id) == schedule


def test_people_who_get_mails_are_shown_and_a_mail_is_sent_again(browser: Browser) -> None:
    browser.sign_in("admin")
    created = _new(browser, "save", notify="Anna <anna@example.org>, ben@example.org").location
    schedule_id = created.rpartition("/")[2]
    a_report_of(schedule_id, kind=ReportKind.FAILED_RUN, files={})
    call = Delivery(DeliveryState.FAILED, NOW, "msg_1", "it answered 503", 10)
    a_report_of(
        schedule_id, 500_020, kind=ReportKind.WEBHOOK, files={}, webhook="ours", delivery=call
    )

    details = browser.get(created).text
    page = browser.get(f"{created}/reports")
    resend = f"{created}/reports/500020/resend"
    sent = browser.post(resend, page.forms[resend] | {"reason": "they repaired it"})

    assert "anna@example.org, ben@example.org" in details
    assert "a run failed" in page.text
    assert "it answered 503" in page.text
    assert (sent.status, sent.location) == (303, f"{created}/reports")
    assert reports.get(schedule_id, 500_020).delivery.state == "queued"
    fields = browser.get(f"{created}/edit").forms[f"{created}/edit"]
    assert fields["notify"] == "anna@example.org, ben@example.org"
