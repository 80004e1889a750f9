"""The outbox: handing a report's mail to the mail service, once, and noting how it fared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobyard.domain.cost import Usage
from jobyard.domain.errors import StaleState
from jobyard.domain.report import Delivery, DeliveryState, Report
from jobyard.services.settings import Settings
from jobyard.store import reports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client

UNKNOWN_FOR = timedelta(minutes=15)  # how long a hand-over without an answer is let be
QUICK_TRIES = 10  # hand-overs a minute apart; after them one an hour
MAIL_TRIES = QUICK_TRIES + 72  # hand-overs in all: three days
_SLOWLY = timedelta(hours=1)
MAILS_A_MINUTE = 50  # that the minute rule hands over; a new account may send one a second
TOLD_FOR = timedelta(hours=1)  # how long a mail that came to nothing is counted, for the alarm
SLICE_JOBS = 100_000  # that Report goes through in minutes, of its fifteen
_UNKNOWN_FROM = 500  # an answer of this status or more leaves open whether the mail was taken


@dataclass(frozen=True)
class Reporting:
    """What reporting needs: the deployment, S3, the mail service and the clock.

    `used` tells what this invocation used up to now, for the bill in the report; `slice_jobs` is
    how many jobs one invocation goes through at the most.
    """

    settings: Settings
    s3: "S3Client"
    mail: "SESV2Client"
    unanswered: type[Exception]  # what the mail client raises when no answer comes
    now: Callable[[], datetime]
    used: Callable[[], Usage] = Usage
    slice_jobs: int = SLICE_JOBS


def deliver(report: Report, reporting: Reporting) -> Report:
    """Hand a report's mail to the mail service, if that has not been done.

    A hand-over whose answer was never written down is let be for a quarter of an hour and then
    repeated: the mail service has no way to ask it whether it took a message, so in that case, and
    only then, a mail may come twice.
    """
    now = reporting.now()
    delivery = report.delivery
    pause = UNKNOWN_FOR if delivery.state is DeliveryState.SENDING else timedelta()
    if delivery.tries >= QUICK_TRIES:
        pause = _SLOWLY
    waiting = delivery.state in {DeliveryState.QUEUED, DeliveryState.SENDING}
    if not waiting or now - delivery.at < pause:
        return report
    handing = Delivery(DeliveryState.SENDING, now, tries=delivery.tries + 1)
    try:
        report = reports.put_delivery(report, handing)
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker has it in hand
    last = handing.tries >= MAIL_TRIES
    try:
        message_id = _send(report, reporting)
    except reporting.mail.exceptions.ClientError as refusal:
        status = refusal.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        again = DeliveryState.SENDING if status >= _UNKNOWN_FROM else DeliveryState.QUEUED
        state = DeliveryState.FAILED if last else again
        return _note(report, replace(handing, state=state, error=str(refusal)), reporting)
    except reporting.unanswered as silence:
        state = DeliveryState.FAILED if last else DeliveryState.SENDING
        return _note(report, replace(handing, state=state, error=str(silence)), reporting)
    sent = replace(handing, state=DeliveryState.SENT, message_id=message_id)
    return _note(report, sent, reporting)


def _note(report: Report, delivery: Delivery, reporting: Reporting) -> Report:
    try:
        return reports.put_delivery(report, replace(delivery, at=reporting.now()))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # news from the mail service came first


def _send(report: Report, reporting: Reporting) -> str:
    settings = reporting.settings

    def words(name: str) -> str:
        answer = reporting.s3.get_object(Bucket=settings.work_bucket, Key=report.files[name])
        text: str = answer["Body"].read().decode()
        return text

    answer = reporting.mail.send_email(
        FromEmailAddress=settings.mail_from,
        Destination={"ToAddresses": list(report.to), "BccAddresses": _copied(settings)},
        Content={
            "Simple": {
                "Subject": {"Data": report.subject, "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": words("mail.txt"), "Charset": "UTF-8"},
                    "Html": {"Data": words("report.html"), "Charset": "UTF-8"},
                },
                # All mails of a batch in one thread.
                "Headers": [{"Name": "References", "Value": f"<{report.batch_id}@jobyard>"}],
            }
        },
        ConfigurationSetName=settings.mail_configuration_set,
        EmailTags=[
            {"Name": "batch_id", "Value": report.batch_id},
            {"Name": "seq", "Value": str(report.seq)},
        ],
    )
    return answer["MessageId"]


def _copied(settings: Settings) -> list[str]:
    return [settings.mail_bcc] if settings.mail_bcc else []


def recipients(to: Sequence[str], settings: Settings) -> int:
    """How many addresses the mail of a report to `to` goes to; none when nobody is to be told."""
    return len(to) + len(_copied(settings)) if to else 0


def deliver_waiting(reporting: Reporting) -> int:
    """Hand over what the outbox still holds; the answer is how many reports it holds after, those
    included whose mail came to nothing within the last hour."""
    left = 0
    for number, seen in enumerate(reports.undelivered()):
        report = reports.get(seen.batch_id, seen.seq)
        if number < MAILS_A_MINUTE:
            report = deliver(report, reporting)
        left += report.delivery.state in {DeliveryState.QUEUED, DeliveryState.SENDING}
    return left + sum(1 for _ in reports.came_to_nothing(reporting.now() - TOLD_FOR))


# What each piece of news makes of a delivery, and of which deliveries it is news at all.
_HANDED = frozenset({DeliveryState.SENDING, DeliveryState.SENT})
_NEWS = {
    "Send": (DeliveryState.SENT, frozenset({DeliveryState.SENDING})),
    "Delivery": (DeliveryState.DELIVERED, _HANDED),
    "Bounce": (DeliveryState.BOUNCED, _HANDED | {DeliveryState.DELIVERED}),
    "Complaint": (DeliveryState.COMPLAINED, _HANDED | {DeliveryState.DELIVERED}),
    "Reject": (DeliveryState.FAILED, _HANDED),
}


def note_delivery(batch_id: str, seq: int, news: str, message_id: str, at: datetime) -> Report:
    """Write down what the mail service tells of a report's mail; older news changes nothing.

    Raises:
        Unknown: there is no such report.
        StaleState: someone else wrote at the same time; the caller should come again.
    """
    written = reports.get(batch_id, seq)
    state, of = _NEWS.get(news, (written.delivery.state, frozenset()))
    if written.delivery.state not in of:
        return written
    delivery = replace(written.delivery, state=state, message_id=message_id, at=at)
    return reports.put_delivery(written, delivery)
