"""The page of the system: alarms, dead letters with what one does about them, lost mails."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from jobyard import VERSION
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.services.settings import Settings
from jobyard.store import reports
from tests.functions.api.batch_records import a_batch, a_report
from tests.functions.api.dead_letter_messages import (
    execution_event,
    failed_invocation,
    mail_event,
    manifest_event,
    put_letter,
)
from tests.functions.web.alarms import delete_alarms, put_alarm
from tests.functions.web.browser import Browser

NAME = "Monitoring-1ABC"


_queues = count(1)


@pytest.fixture
def settings(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of a deployment without alarms and dead letters."""
    site = browser.function.SITE
    queue = boto3.client("sqs").create_queue(QueueName=f"letters-{next(_queues)}")
    settings = replace(site.settings, dead_letters=queue["QueueUrl"])
    monkeypatch.setattr(browser.function, "SITE", replace(site, settings=settings))
    delete_alarms()
    yield settings
    delete_alarms()


def _executions(settings: Settings, letter: str) -> list[str]:
    """The executions that were started for a letter."""
    machines = boto3.client("stepfunctions")
    found = machines.list_executions(stateMachineArn=settings.batch_machine)["executions"]
    return [each["name"] for each in found if letter in each["name"]]


def _letters(settings: Settings) -> int:
    attribute = "ApproximateNumberOfMessages"
    found = boto3.client("sqs").get_queue_attributes(
        QueueUrl=settings.dead_letters, AttributeNames=[attribute]
    )
    return int(found["Attributes"][attribute])


def test_an_active_alarm_says_what_it_means_and_what_to_do(
    browser: Browser, settings: Settings
) -> None:
    put_alarm(f"{settings.stack}-{NAME}-FailedJobsAlarm-2DEF", "ALARM")
    put_alarm(f"{settings.stack}-{NAME}-OldestBatchAlarm-2DEF", "OK")
    put_alarm("another-stack-Monitoring-1ABC-RunsAlarm-2DEF", "ALARM")
    browser.sign_in("operator")

    page = browser.get("/system")

    assert "In alarm" in page.text
    assert "Many jobs failed within five minutes" in page.text
    assert "then look at the failure codes of the newest" in page.text
    assert "1 other alarm " in page.text
    assert "More: “A batch that is stuck” in docs/operating.md" in page.text
    assert "RunsAlarm" not in page.text.replace("OpenMapRunsAlarm", "")


def test_it_shows_version_stack_retention_and_open_batches(
    browser: Browser, settings: Settings
) -> None:
    a_batch("processing", entries=2)
    browser.sign_in("operator")

    page = browser.get("/system")

    assert f"Version {VERSION}" in page.text
    assert f"Stack {settings.stack}" in page.text
    assert "1 processing" in page.text
    assert "90 days archived" in page.text
    assert "Each person may have 1,000 open batches" in page.text
    assert "System jobs" not in page.text  # only admins see schedules
    assert "System jobs" in browser.sign_in("admin").get("/system").text


def test_each_kind_of_dead_letter_says_what_it_is_and_what_to_do(
    browser: Browser, settings: Settings
) -> None:
    put_letter(settings, manifest_event())
    put_letter(settings, failed_invocation(mail_event()))
    put_letter(settings, execution_event())
    put_letter(settings, "not <b>an</b> event")
    browser.sign_in("operator")

    page = browser.get("/system")

    assert "s3://intake/manifests/maps/may.checkm" in page.text
    assert "Email Bounced: mail 0100-mail, report 1 of b1" in page.text
    assert "RetriesExhausted: the table does not answer Delivery" in page.text
    assert "TIMED_OUT: b1-main" in page.text
    assert "not <b>an</b> event" in page.text
    assert "of about" not in page.text
    assert "Only an admin may redrive a dead letter" in page.text
    assert not [action for action in page.forms if "dead-letters" in action]
    assert _letters(settings) == 4  # a look leaves them where they are


def test_a_manifests_event_is_redriven_once_and_its_letter_deleted(
    browser: Browser, settings: Settings
) -> None:
    letter = put_letter(settings, manifest_event())
    at = f"/system/dead-letters/{letter}/redrive"
    browser.sign_in("admin")
    page = browser.get("/system")

    answers = [browser.submit(page, at, reason="the role is back") for _ in range(2)]

    assert (answers[0].status, answers[0].location) == (303, "/system")
    assert answers[1].status == 409
    assert "not in the queue now" in answers[1].alert
    assert _executions(settings, letter) == [f"redrive-{letter}"]
    assert _letters(settings) == 0
    activity = browser.get("/activity")
    assert "Redrive" in activity.text
    assert "the role is back" in activity.text


def test_a_letter_that_comes_back_starts_no_second_execution(
    browser: Browser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the start and the deletion."""
    letter = put_letter(settings, manifest_event())
    at = f"/system/dead-letters/{letter}/redrive"
    browser.sign_in("admin")
    page = browser.get("/system")
    sqs = _Crashing(boto3.client("sqs"), settings)
    site = browser.function.SITE
    monkeypatch.setattr(browser.function, "SITE", replace(site, sqs=sqs))

    assert browser.submit(page, at, reason="again").status == 503
    assert browser.submit(page, at, reason="again").status == 303

    assert _executions(settings, letter) == [f"redrive-{letter}"]
    assert _letters(settings) == 0


class _Crashing:
    """A client of SQS whose first deletion fails, after which the message is visible again."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._client, self._queue, self._is_new = client, settings.dead_letters, True

    def delete_message(self, **given: Any) -> None:
        if self._is_new:
            self._is_new = False
            self._client.change_message_visibility(**given, VisibilityTimeout=0)
            raise EndpointConnectionError(endpoint_url=self._queue)
        self._client.delete_message(**given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (mail_event(batch_id=""), "Its mail is none of a report"),
        (execution_event(), "A redrive is not needed"),
        ("not an event", "does not know this event"),
        (manifest_event(bucket="theirs"), "no manifest of this deployment"),
        (manifest_event(key="elsewhere/a"), "no manifest of this deployment"),
    ],
)
def test_what_needs_no_redrive_or_is_not_ours_cannot_be_redriven_but_discarded(
    browser: Browser, settings: Settings, document: Any, words: str
) -> None:
    letter = put_letter(settings, document)
    at = f"/system/dead-letters/{letter}"
    browser.sign_in("admin")
    page = browser.get("/system")

    assert words in page.text
    assert f"{at}/redrive" not in page.forms
    assert browser.submit(page, f"{at}/discard", reason="not needed").location == "/system"
    assert _letters(settings) == 0
    assert "Discard" in browser.get("/activity").text


@pytest.mark.parametrize("wrapped", [False, True], ids=["undelivered", "failed invocation"])
def test_a_mails_event_is_recorded_in_its_report_and_its_letter_deleted(
    browser: Browser, settings: Settings, wrapped: bool
) -> None:
    batch = a_batch("failed", entries=1)
    a_report(batch)
    event = mail_event(batch.batch_id)
    letter = put_letter(settings, failed_invocation(event) if wrapped else event)
    browser.sign_in("admin")

    answer = browser.submit(
        browser.get("/system"), f"/system/dead-letters/{letter}/redrive", reason="it is back"
    )

    assert (answer.status, answer.location) == (303, "/system")
    delivery = reports.get(batch.batch_id, 1).delivery
    assert delivery.state is DeliveryState.BOUNCED
    assert [each.address for each in delivery.undeliverable] == ["a@example.org"]
    assert _letters(settings) == 0
    assert "it is back" in browser.get("/activity").text


def test_a_mails_event_changes_nothing_when_a_later_one_was_recorded(
    browser: Browser, settings: Settings
) -> None:
    batch = a_batch("failed", entries=1)
    complained = Delivery(DeliveryState.COMPLAINED, browser.function.SITE.now())
    a_report(batch, delivery=complained)
    letters = [put_letter(settings, mail_event(batch.batch_id)) for _ in range(2)]
    browser.sign_in("admin")

    for letter in letters:
        at = f"/system/dead-letters/{letter}/redrive"
        assert browser.submit(browser.get("/system"), at, reason="again").status == 303

    assert reports.get(batch.batch_id, 1).delivery.state is DeliveryState.COMPLAINED


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (execution_event(), "a redrive is not needed"),
        (mail_event("bgone"), "its report does not exist any more"),
    ],
    ids=["execution", "mail of no report"],
)
def test_a_redrive_that_cannot_work_is_refused_and_the_letter_stays(
    browser: Browser, settings: Settings, document: Any, words: str
) -> None:
    letter = put_letter(settings, document)
    browser.sign_in("admin")
    fields = browser.get("/system").forms["/sign-out"] | {"reason": "x"}

    answer = browser.post(f"/system/dead-letters/{letter}/redrive", fields)

    assert answer.status == 409
    assert words in answer.alert
    visible_or_not = boto3.client("sqs").get_queue_attributes(
        QueueUrl=settings.dead_letters, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    assert visible_or_not["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_a_notification_that_was_lost_says_that_it_was_one(
    browser: Browser, settings: Settings
) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:jobyard-alarms"
    put_letter(settings, execution_event(), TARGET_ARN=topic)

    page = browser.sign_in("admin").get("/system")

    assert "it would have notified people that an execution failed" in page.text


@pytest.mark.parametrize(
    "detail",
    [{}, {"mail": {"messageId": "m", "tags": {"batch_id": "", "seq": []}}}, {"mail": "m"}],
    ids=["nothing", "empty tags", "text"],
)
def test_a_mails_event_in_another_form_is_an_unknown_one(
    browser: Browser, settings: Settings, detail: Any
) -> None:
    put_letter(settings, mail_event() | {"detail": detail})

    page = browser.sign_in("admin").get("/system")

    assert "Jobyard does not know this event." in page.text


def test_a_forged_form_of_an_operator_is_refused(browser: Browser, settings: Settings) -> None:
    letter = put_letter(settings, manifest_event())
    browser.sign_in("operator")
    fields = browser.get("/system").forms["/sign-out"] | {"reason": "mine"}

    for event in ("redrive", "discard"):
        assert browser.post(f"/system/dead-letters/{letter}/{event}", fields).status == 403
    assert _letters(settings) == 1


def test_a_redrive_without_a_reason_is_asked_for_one(browser: Browser, settings: Settings) -> None:
    letter = put_letter(settings, manifest_event())
    browser.sign_in("admin")

    answer = browser.submit(browser.get("/system"), f"/system/dead-letters/{letter}/redrive")

    assert answer.status == 422
    assert "needs a reason" in answer.alert
    assert _letters(settings) == 1


def test_home_names_active_alarms_and_lost_events_to_operators(
    browser: Browser, settings: Settings
) -> None:
    put_alarm(f"{settings.stack}-{NAME}-FailedJobsAlarm-2DEF", "ALARM")
    put_letter(settings, mail_event())

    home = browser.sign_in("operator").get("/")

    assert "Many jobs failed within five minutes" in home.text
    assert "1 event could not be delivered" in home.text
    assert "Many jobs failed" not in browser.sign_in("viewer").get("/").text


class _Silent:
    """A client that does not answer."""

    def describe_alarms(self, **_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://monitoring.example.org")

    def get_queue_attributes(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetQueueAttributes")


def test_it_is_shown_when_cloudwatch_and_sqs_do_not_answer(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = browser.function.SITE
    silent = replace(site, cloudwatch=_Silent(), sqs=_Silent())
    monkeypatch.setattr(browser.function, "SITE", silent)
    browser.sign_in("operator")

    page = browser.get("/system")

    assert page.status == 200
    assert "CloudWatch does not answer now" in page.text
    assert "SQS does not answer now" in page.text
    assert f"Version {VERSION}" in page.text
    home = browser.get("/")
    assert "so the alarms are not known" in home.text
    assert "so the dead letters are not known" in home.text


def test_a_lost_mail_is_sent_again_from_here(browser: Browser, settings: Settings) -> None:
    batch = a_batch("failed", entries=1)
    now = browser.function.SITE.now()
    lost = Delivery(DeliveryState.BOUNCED, now, error="no such mailbox")
    report = a_report(batch, subject="may.checkm failed", created_at=now, delivery=lost)
    at = f"/batches/{batch.batch_id}/reports/{report.seq}/resend"
    browser.sign_in("admin")

    page = browser.get("/system")

    assert "may.checkm failed" in page.text
    assert "no such mailbox" in page.text
    assert browser.submit(page, at, reason="a typing error").status == 303
    assert "no such mailbox" not in browser.get("/system").text


@pytest.mark.parametrize("role", ["viewer", "depositor", "planner"])
def test_others_get_no_page_and_no_link_to_it(browser: Browser, role: str) -> None:
    browser.sign_in(role)

    assert browser.get("/system").status == 403
    assert 'href="/system"' not in browser.get("/").html


def test_services_that_do_not_answer_keep_a_reader_waiting_for_some_seconds_only(
    browser: Browser,
) -> None:
    """The gateway waits for 30 seconds, and the home page asks both before it is shown."""
    site = browser.function.SITE
    configs = [client.meta.config for client in (site.cloudwatch, site.sqs)]

    waits = [
        each.retries["total_max_attempts"] * (each.connect_timeout + each.read_timeout)
        for each in configs
    ]

    assert sum(waits) <= 20
