"""The recipients of a report, and what happens with undeliverable addresses."""

from dataclasses import replace
from typing import Any

from jobyard.services.reports.mail import MAIL_TRIES
from jobyard.services.reports.outbox_tick import run_outbox_tick
from jobyard.store import reports
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness, Payloads, single_files

DOE = '"Doe, Jane" <jane.doe@example.org>, ops@example.org'


class Strict(Listener):
    """A mail service like SES: it refuses the whole mail for one invalid address."""

    def __init__(self, *bad: str, code: str = "MessageRejected", status: int = 400) -> None:
        self.bad, self.code, self.status = bad, code, status
        self.sent: list[tuple[str, ...]] = []

    def before(self, call: Call) -> Answer | None:
        if call.operation != "SendEmail":
            return None
        to = call.parameters["Destination"]
        everybody = (*to["ToAddresses"], *to["BccAddresses"])
        if set(self.bad) & set(everybody):
            answer = Answer.error(self.status, self.code, "arn:aws:ses:1 is not verified")
            answer.parsed["ResponseMetadata"]["RequestId"] = "request-7"
            return answer
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "SendEmail" and status == 200:
            to = call.parameters["Destination"]
            self.sent.append((*to["ToAddresses"], *to["BccAddresses"]))


def dropped(harness: Harness, payloads: Payloads, notify: str) -> tuple[str, Any]:
    """A batch of one file with these `notify` addresses, and its report."""
    text = single_files(payloads, {"a.txt": b"a"})
    batch_id = harness.drop(text, metadata={"notify": notify})
    (report,) = reports.of_batch(batch_id)
    return batch_id, report


def test_a_name_with_a_comma_is_one_recipient(harness: Harness, payloads: Payloads) -> None:
    batch_id, report = dropped(harness, payloads, DOE)

    assert report.to == ("jane.doe@example.org", "ops@example.org")
    assert harness.mails_of(batch_id)[0].to == ("jane.doe@example.org", "ops@example.org")


def test_a_bad_address_of_a_dropped_manifest_does_not_affect_other_recipients(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id, report = dropped(harness, payloads, f"jane.doe at example.org, {DOE}")

    batch = harness.batch(batch_id).batch
    assert batch.state == "completed"
    assert batch.notify == ("jane.doe@example.org", "ops@example.org")
    assert [each.address for each in batch.undeliverable] == ["jane.doe at example.org"]
    assert report.delivery.undeliverable == batch.undeliverable
    (mail,) = harness.mails_of(batch_id)
    assert "No mail to:  jane.doe at example.org: " in mail.text


def test_a_dropped_manifest_has_no_stranger_mailed(harness: Harness, payloads: Payloads) -> None:
    batch_id, report = dropped(harness, payloads, "jo@example.org, president@example.com")

    assert report.to == ("jo@example.org",)
    (mail,) = harness.mails_of(batch_id)
    assert mail.to == ("jo@example.org",)
    assert "president@example.com: this deployment sends mail to example.org only" in mail.text


def test_where_no_named_address_is_deliverable_the_operators_are_notified(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id, report = dropped(harness, payloads, "jane.doe at example.org")

    assert report.to == ("operators@example.org",)
    assert "jane.doe at example.org" in harness.mails_of(batch_id)[0].text


def test_where_nobody_at_all_can_be_notified_the_report_says_so(
    harness: Harness, payloads: Payloads
) -> None:
    harness.settings = replace(harness.settings, mail_to="")

    _, report = dropped(harness, payloads, "jane.doe at example.org")

    assert report.delivery.state == "failed"
    assert [each.address for each in report.delivery.undeliverable] == ["jane.doe at example.org"]


def test_a_bad_address_that_was_accepted_before_is_found_when_the_mail_is_sent(
    harness: Harness, payloads: Payloads
) -> None:
    strict = Strict("jane.doe at example.org", '"Doe')
    harness.settings = replace(harness.settings, mail_bcc='copies@example.org, "Doe')
    with harness.interceptor.listening(strict):
        _, report = dropped(harness, payloads, "ops@example.org")

    assert strict.sent == [("ops@example.org", "copies@example.org")]
    assert [each.address for each in report.delivery.undeliverable] == ['"Doe']
    assert report.delivery.state == "sent"


def test_a_recipient_refused_by_the_mail_service_does_not_affect_others(
    harness: Harness, payloads: Payloads
) -> None:
    strict = Strict("ops@example.org")
    with harness.interceptor.listening(strict):
        _, report = dropped(harness, payloads, f"{DOE}, jo@example.org")
        harness.advance(3600)
        harness.tick()

    assert strict.sent == [("jane.doe@example.org",), ("jo@example.org",)]
    assert report.delivery.state == "sent"
    (undeliverable,) = report.delivery.undeliverable
    assert undeliverable.address == "ops@example.org"
    assert "request-7" in undeliverable.why
    assert "arn:" not in undeliverable.why


def test_a_recipient_of_a_single_mail_gets_it_once_whenever_the_rest_is_interrupted(
    harness: Harness, payloads: Payloads
) -> None:
    strict = Strict("ops@example.org")
    interrupting = Strict("jo@example.org", code="TooManyRequestsException", status=429)
    with harness.interceptor.listening(strict):
        with harness.interceptor.listening(interrupting):
            batch_id, report = dropped(harness, payloads, f"{DOE}, jo@example.org")
            # The mail to all is refused because of ops; jo comes last, and the service throttles.
            assert report.delivery.sent_to == ("jane.doe@example.org",)
            news = {"messageId": "m", "tags": {"batch_id": [batch_id], "seq": ["1"]}}
            harness.receive_mail_event({"detail": {"mail": news, "eventType": "Send"}})
        harness.advance(61)
        harness.tick()

    (report,) = reports.of_batch(batch_id)
    assert strict.sent == [("jane.doe@example.org",), ("jo@example.org",)]
    assert report.delivery.state == "sent"
    assert [each.address for each in report.delivery.undeliverable] == ["ops@example.org"]


def test_a_mail_that_is_refused_for_everybody_is_tried_for_three_days(
    harness: Harness, payloads: Payloads
) -> None:
    strict = Strict("jane.doe@example.org", "ops@example.org")
    with harness.interceptor.listening(strict):
        batch_id, report = dropped(harness, payloads, DOE)
        assert report.delivery.state == "queued"
        tries = 1
        while report.delivery.state == "queued":
            tries += 1
            harness.advance(3600)
            run_outbox_tick(harness.report_context())
            (report,) = reports.of_batch(batch_id)

    assert tries == MAIL_TRIES
    assert report.delivery.state == "failed"
    assert "request-7" in report.delivery.error
    assert "arn:" not in report.delivery.error


def test_a_manifest_that_was_removed_before_it_was_read_is_refused_in_our_words(
    harness: Harness, payloads: Payloads
) -> None:
    text = single_files(payloads, {"a.txt": b"a"})
    event = harness.upload(text, name="gone.checkm", collection="maps")
    found = event["detail"]["object"]

    class Removing(Listener):
        """Removes the manifest after it was claimed."""

        def before(self, call: Call) -> Answer | None:
            if call.operation == "GetObject" and call.parameters["Key"] == found["key"]:
                return Answer.error(404, "NoSuchVersion", "The specified version does not exist.")
            return None

    with harness.interceptor.listening(Removing()):
        harness.machines.run("batch", "removed", event)
        harness.machines.run_all()

    batch = harness.batch(harness.batch_id_of(event)).batch
    (mail,) = harness.mails_of(batch.batch_id)
    assert batch.state == "failed"
    assert batch.failure_message == "the manifest was removed before it was read"
    assert batch.failure_message in mail.text
    assert "NoSuchVersion" not in mail.text
