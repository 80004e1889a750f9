"""What is sent when jobs of a schedule fail: a mail for several failures, and webhook calls."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobyard.domain.errors import BadRequest
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule
from jobyard.domain.webhooks import WebhookEvent
from jobyard.services import webhooks
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.reports.commands import resend
from jobyard.services.schedules import commands
from jobyard.services.schedules.commands import ScheduleEdit, ScheduleSpec
from jobyard.services.webhooks import WebhookSettings
from jobyard.store import reports, schedules
from tests.harness import Harness, Payloads
from tests.scripted_job_type import NAME, Script, scripted
from tests.services.datasets.crashes import DyingAt

HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-25"}
FAIL, DONE = Fail(Failure.RECORDS_FAILED, "the table is gone"), Done()
ANNA = ("anna@example.org",)


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do; a failure is not retried."""
    with scripted(retries=0) as script:
        yield script


def create(harness: Harness, notify: tuple[str, ...] = ANNA) -> Schedule:
    harness.at = datetime(2026, 11, 25, 0, 1, tzinfo=UTC)
    spec = ScheduleSpec("Expire", NAME, recurrence_of(HOURLY), Policy(), {}, notify)
    return commands.create(spec, harness.context())


def pass_hours(harness: Harness, hours: int) -> None:
    """Start the job of each hour, and send what is stored for it."""
    for _ in range(hours):
        harness.advance(3600)
        harness.tick()
        harness.machines.run_all()
        harness.advance(60)
        harness.tick()
        harness.advance(-60)


def mailed(harness: Harness) -> int:
    return len([each for each in harness.mails() if "a run of Expire failed" in each.subject])


def test_a_run_of_failures_is_mailed_once_and_again_after_a_success(
    harness: Harness, script: Script
) -> None:
    schedule = create(harness)
    counts = []
    for answer in (FAIL, FAIL, FAIL, DONE, FAIL, FAIL):
        script.answers = [answer]
        pass_hours(harness, 1)
        counts.append(mailed(harness))

    assert counts == [1, 1, 1, 1, 2, 2]
    (first, _) = reports.of_batch(schedule.schedule_id)
    (mail, *_) = [each for each in harness.mails() if each.to == ANNA]
    assert (first.kind.value, first.to, first.delivery.state) == ("failed_run", ANNA, "sent")
    assert "the table is gone" in mail.text
    assert "or if one still fails 24 hours from now" in mail.text
    assert f"/schedules/{schedule.schedule_id}" in mail.text


def test_while_jobs_fail_a_mail_is_sent_each_day(harness: Harness, script: Script) -> None:
    create(harness)
    script.answers = [FAIL] * 49

    pass_hours(harness, 24)
    assert mailed(harness) == 1
    pass_hours(harness, 25)
    assert mailed(harness) == 3


def test_nobody_gets_a_mail_unless_the_schedule_names_them(
    harness: Harness, script: Script
) -> None:
    schedule = create(harness, notify=())
    script.answers = [FAIL, FAIL]
    pass_hours(harness, 1)
    assert [*reports.of_batch(schedule.schedule_id)] == []

    commands.edit(schedule.schedule_id, ScheduleEdit(notify=ANNA), harness.context())
    pass_hours(harness, 1)

    assert mailed(harness) == 1


def test_strangers_get_no_mail_of_a_schedule(harness: Harness) -> None:
    schedule = create(harness)
    stranger = ("eve@example.com",)

    with pytest.raises(BadRequest, match="sends mail to example"):
        create(harness, notify=stranger)
    with pytest.raises(BadRequest, match="sends mail to example"):
        commands.edit(schedule.schedule_id, ScheduleEdit(notify=stranger), harness.context())


def test_what_a_person_fails_or_cancels_is_not_mailed(harness: Harness, script: Script) -> None:
    schedule = create(harness)
    harness.machines.run_all()
    for event in ("force_fail", "cancel"):
        harness.advance(1)
        occurrence = commands.run_now(schedule.schedule_id, harness.context())
        send_job_event(occurrence.address.job_id, event, harness.context())
    harness.machines.run_all()
    harness.tick()

    assert mailed(harness) == 0


def test_webhooks_are_called_about_each_failed_job(
    harness: Harness, payloads: Payloads, script: Script
) -> None:
    wanted = (WebhookEvent.SCHEDULE_JOB_FAILED,)
    webhooks.create("ours", WebhookSettings(f"{payloads.url}/hook", wanted), harness.context())
    schedule = create(harness)
    script.answers = [FAIL, DONE, FAIL]

    pass_hours(harness, 3)

    assert [each["type"] for each in payloads.posted] == ["schedule_job.failed.v1"] * 2
    data = payloads.posted[0]["data"]
    assert data["schedule_id"] == schedule.schedule_id
    assert (data["failure_code"], data["failure_message"]) == (
        "RECORDS_FAILED",
        "the table is gone",
    )
    assert data["scheduled_for"] == "2026-11-25T01:00:00+00:00"
    assert data["links"]["self"].endswith(f"/api/jobs/{data['job_id']}")
    assert len({sent["webhook-id"] for sent, _ in payloads.posted_raw}) == 2


def test_a_mail_is_sent_again_on_request(harness: Harness, script: Script) -> None:
    schedule = create(harness)
    script.answers = [FAIL]
    pass_hours(harness, 1)

    resend(schedule.schedule_id, 1, harness.context())
    harness.tick()

    assert mailed(harness) == 2


class SettleDyingAt(DyingAt):
    """Dies at a call of the function that settles."""

    harness: Harness

    def before(self, call):  # type: ignore[no-untyped-def]
        return super().before(call) if self.harness.interceptor.role == "ReportRole" else None

    def after(self, call, status, parsed):  # type: ignore[no-untyped-def]
        if self.harness.interceptor.role == "ReportRole":
            super().after(call, status, parsed)


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_worker_that_dies_while_it_settles_loses_no_mail_and_adds_none(
    harness: Harness, script: Script, is_sent: bool
) -> None:
    number = 0
    while True:
        schedule = create(harness)
        script.answers = [FAIL]
        dying = SettleDyingAt(number, is_sent=is_sent)
        dying.harness = harness
        with harness.interceptor.listening(dying):
            pass_hours(harness, 1)
        found = [*reports.of_batch(schedule.schedule_id)]

        assert [each.kind.value for each in found] == ["failed_run"]
        stored = schedules.get(schedule.schedule_id)
        assert (stored.report_count, stored.label) == (1, "Failed")
        commands.delete(schedule.schedule_id, harness.context())
        if number >= len(dying.calls):
            break
        number += 1
    assert number > 4
