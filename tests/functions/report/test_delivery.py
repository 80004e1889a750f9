"""The handler for events of the mail service."""

from types import ModuleType

import pytest

from jobyard.domain.batches.report import DeliveryState
from jobyard.store import reports
from tests.functions.invocations import Context
from tests.functions.records import a_report

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize(
    ("news", "state"),
    [
        ("Delivery", "delivered"),
        ("Bounce", "bounced"),
        ("Reject", "failed"),
        ("Complaint", "complained"),
        ("Open", "sent"),
    ],
)
def test_an_event_of_the_mail_service_is_noted_with_the_report(
    functions: dict[str, ModuleType], news: str, state: str
) -> None:
    batch_id = f"b-news-{news.lower()}"
    a_report(batch_id, DeliveryState.SENT)
    detail = {
        "eventType": news,
        "mail": {"messageId": "m", "tags": {"batch_id": [batch_id], "seq": ["1"]}},
    }

    functions["report.delivery"].handler({"detail": detail}, Context())
    functions["report.delivery"].handler({"detail": detail}, Context())

    assert reports.get(batch_id, 1).delivery.state == state


def test_who_a_mail_did_not_reach_is_kept_with_the_report(
    functions: dict[str, ModuleType],
) -> None:
    a_report("b-bounced", DeliveryState.SENT)
    bounced = [
        {"emailAddress": "jo@example.org", "diagnosticCode": "550 no such\r\nuser"},
        {"emailAddress": "ed@example.org"},
    ]
    detail = {
        "eventType": "Bounce",
        "mail": {"messageId": "m", "tags": {"batch_id": ["b-bounced"], "seq": ["1"]}},
        "bounce": {"bouncedRecipients": bounced},
    }

    functions["report.delivery"].handler({"detail": detail}, Context())
    functions["report.delivery"].handler({"detail": detail}, Context())

    assert [each.description for each in reports.get("b-bounced", 1).delivery.undeliverable] == [
        "jo@example.org: 550 no such\ufffd\ufffduser",
        "ed@example.org: its server refused the mail",
    ]


def test_events_of_foreign_mails_are_ignored(functions: dict[str, ModuleType]) -> None:
    handler = functions["report.delivery"].handler
    foreign = {"eventType": "Delivery", "mail": {"messageId": "m", "tags": {}}}
    unknown = {"messageId": "m", "tags": {"batch_id": ["b-none"], "seq": ["7"]}}

    assert handler({"detail": foreign}, Context()) == {}
    assert handler({"detail": foreign | {"mail": unknown}}, Context()) == {}
