"""The outbox tick is bounded in number and time, and every report gets its turn."""

from datetime import timedelta

import pytest

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.services.reports import mail
from jobyard.services.reports.mail import (
    MAILS_PER_MINUTE,
    QUICK_TRIES,
    SEND_TIMEOUT_S,
    deliver_waiting,
)
from jobyard.store import reports
from tests.harness import Harness


@pytest.fixture
def files(harness: Harness) -> dict[str, str]:
    """The files of a mail."""
    keys = {name: f"reports/outbox/{name}" for name in ("mail.txt", "report.html")}
    for key in keys.values():
        harness.s3.put_object(Bucket="work", Key=key, Body=b"words")
    return keys


def put_waiting_report(
    harness: Harness, batch_id: str, files: dict[str, str], age: int, tries: int = 0
) -> Report:
    """A report whose mail has waited for `age` seconds."""
    at = harness.now() - timedelta(seconds=age)
    delivery = Delivery(DeliveryState.QUEUED, at, tries=tries)
    to = (f"{batch_id}@example.org",)
    counts = {"succeeded": 1}
    subject = f"Jobyard: OK -- {batch_id}"
    return reports.put_new(
        Report(batch_id, 1, ReportKind.FIRST, at, to, subject, "OK", counts, 0, files, delivery)
    )


def test_ignored_mails_do_not_delay_others(harness: Harness, files: dict[str, str]) -> None:
    """Each of the older ones comes again an hour after its last try."""
    for number in range(MAILS_PER_MINUTE + 10):
        put_waiting_report(harness, f"old-{number}", files, age=1800, tries=QUICK_TRIES)
    put_waiting_report(harness, "new-one", files, age=1)

    left = deliver_waiting(harness.report_context())

    assert reports.get("new-one", 1).delivery.state is DeliveryState.SENT
    assert left == MAILS_PER_MINUTE + 10


def test_no_more_mails_are_sent_than_a_tick_has_time_for(
    harness: Harness, files: dict[str, str]
) -> None:
    for number in range(MAILS_PER_MINUTE + 3):
        put_waiting_report(harness, f"many-{number}", files, age=100 - number)

    assert deliver_waiting(harness.report_context()) == 3
    assert deliver_waiting(harness.report_context()) == 0


def test_no_mail_is_sent_that_could_outlast_the_tick(
    harness: Harness, files: dict[str, str]
) -> None:
    for number in range(3):
        put_waiting_report(harness, f"slow-{number}", files, age=100 - number)
    time_left = iter([SEND_TIMEOUT_S + 1, SEND_TIMEOUT_S - 1, SEND_TIMEOUT_S - 1])

    assert deliver_waiting(harness.report_context(), lambda: next(time_left)) == 2
    assert reports.get("slow-0", 1).delivery.state is DeliveryState.SENT
    assert reports.get("slow-1", 1).delivery.tries == 0


def test_a_large_outbox_is_read_up_to_a_bound(
    harness: Harness, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "MAX_COUNTED_REPORTS", 5)
    for number in range(8):
        put_waiting_report(harness, f"endless-{number}", files, age=1800, tries=QUICK_TRIES)

    assert deliver_waiting(harness.report_context()) == 5
