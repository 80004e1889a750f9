"""Webhooks: what is called when a batch ends, how it is signed, tried again and given up."""

import base64
import hashlib
import hmac
import json
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound, StaleState
from jobyard.domain.webhooks import MAX_WEBHOOKS, PAUSES, WEBHOOK_TRIES, WebhookEvent, headers
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services import webhooks
from jobyard.services.reports import mail
from jobyard.services.reports.commands import resend
from jobyard.services.reports.webhooks import CALL_TIMEOUT_S, queue_calls
from jobyard.services.webhooks import WebhookRequest
from jobyard.store import reports
from jobyard.store import webhooks as store
from tests.call_interceptor import Answer, Call
from tests.harness import Harness, Payloads, single_files
from tests.services.datasets.crashes import DyingAt

BATCH_ENDED = (WebhookEvent.BATCH_ENDED,)


def put(harness: Harness, payloads: Payloads, name: str = "ours", **changes: Any) -> str:
    """Put a webhook at the test's server. Returns its secret."""
    wanted = WebhookRequest(name, f"{payloads.url}/hook", BATCH_ENDED, ())
    stored = webhooks.put(replace(wanted, **changes), harness.context())
    return stored.webhook.secret


def deposit(harness: Harness, payloads: Payloads, collection: str = "maps") -> str:
    text = single_files(payloads, {"a.txt": b"a"})
    return harness.drop(text, collection=collection)


def put_mail(batch_id: str, at: datetime) -> None:
    """Store a report whose mail waits to be sent."""
    texts = {"mail.txt": "words", "report.html": "words"}
    to, queued = ("a@example.org",), Delivery(DeliveryState.QUEUED, at)
    found = Report(batch_id, 1, ReportKind.FIRST, at, to, "words", "OK", {}, 0, {}, queued)
    reports.put_new(replace(found, texts=texts))


def calls_of(batch_id: str) -> list[Any]:
    return [each for each in reports.of_batch(batch_id) if each.webhook]


def is_signed(call: tuple[dict[str, str], bytes], secret: str) -> bool:
    """As the specification says that a receiver checks it."""
    sent, body = call
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return sent["webhook-signature"] == f"v1,{digest}"


def test_a_signature_is_that_of_the_specifications_example() -> None:
    """The example of the reference libraries, which all share it."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)

    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', secret)

    assert made["webhook-timestamp"] == "1614265330"
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_end_of_a_batch_is_called_signed(harness: Harness, payloads: Payloads) -> None:
    secret = put(harness, payloads)

    batch_id = deposit(harness, payloads)

    (call,) = payloads.posted_raw
    (body,) = payloads.posted
    (report,) = calls_of(batch_id)
    assert is_signed(call, secret)
    assert call[0]["webhook-id"] == f"msg_{batch_id}_{report.seq}" == report.delivery.message_id
    assert report.delivery.state == "delivered"
    assert body["type"] == "batch.ended.v1"
    assert body["data"] == {
        "batch_id": batch_id,
        "state": "completed",
        "collection": "maps",
        "job_type": "deposit",
        "filename": "may.checkm",
        "entries": 1,
        "counts": {"succeeded": 1},
        "report": 1,
        "links": {
            "self": f"http://jobyard.example.org/api/batches/{batch_id}",
            "page": f"http://jobyard.example.org/batches/{batch_id}",
        },
    }


def test_a_webhook_is_called_about_its_collections_only(
    harness: Harness, payloads: Payloads
) -> None:
    put(harness, payloads, collections=("books",))
    put(harness, payloads, "campaigns", events=(WebhookEvent.CAMPAIGN_ENDED,))

    deposit(harness, payloads)
    assert payloads.posted == []
    batch_id = deposit(harness, payloads, "books")

    assert [each["data"]["batch_id"] for each in payloads.posted] == [batch_id]


def test_a_call_that_fails_is_tried_with_growing_pauses_and_given_up(
    harness: Harness, payloads: Payloads
) -> None:
    put(harness, payloads)
    payloads.status["/hook"] = 503
    batch_id = deposit(harness, payloads)

    for number, pause in enumerate(PAUSES, start=1):
        harness.advance(pause.total_seconds() - 61)
        harness.tick()
        assert len(payloads.posted) == number
        harness.advance(61)
        harness.tick()
    harness.advance(7 * 86_400)
    harness.tick()

    (report,) = calls_of(batch_id)
    assert len(payloads.posted) == WEBHOOK_TRIES
    assert (report.delivery.state, report.delivery.error) == ("failed", "it answered 503")
    assert len({sent["webhook-id"] for sent, _ in payloads.posted_raw}) == 1
    assert len({sent["webhook-timestamp"] for sent, _ in payloads.posted_raw}) == WEBHOOK_TRIES


def test_a_call_that_was_given_up_is_made_again_on_request(
    harness: Harness, payloads: Payloads
) -> None:
    secret = put(harness, payloads)
    payloads.status["/hook"] = 410  # no more calls are wanted, so none is tried
    batch_id = deposit(harness, payloads)
    (given_up,) = calls_of(batch_id)
    assert given_up.delivery.state == "failed"

    payloads.status["/hook"] = 204
    resend(batch_id, given_up.seq, harness.context())
    harness.tick()

    (report,) = calls_of(batch_id)
    assert report.delivery.state == "delivered"
    assert [is_signed(each, secret) for each in payloads.posted_raw] == [True, True]


def test_calls_of_a_deleted_webhook_are_given_up(harness: Harness, payloads: Payloads) -> None:
    put(harness, payloads)
    payloads.status["/hook"] = 500
    batch_id = deposit(harness, payloads)

    webhooks.delete("ours", harness.context())
    harness.advance(61)
    harness.tick()

    (report,) = calls_of(batch_id)
    assert report.delivery.state == "failed"
    assert report.delivery.error == "there is no such webhook any more"
    assert len(payloads.posted) == 1


def test_a_slow_receiver_delays_no_mail_and_is_no_undelivered_report(
    harness: Harness, payloads: Payloads
) -> None:
    from jobyard.services.reports.mail import deliver_waiting

    put(harness, payloads)
    payloads.status["/hook"] = 500
    deposit(harness, payloads)
    harness.advance(3600)

    assert deliver_waiting(harness.report_context(), lambda: 19.0) == 0
    assert len(payloads.posted) == 1  # the tick has no time left for a call
    deliver_waiting(harness.report_context())
    assert len(payloads.posted) == 2


def test_a_receiver_that_fails_delays_no_other_one_and_no_mail(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(harness, payloads, "bad", url=f"{payloads.url}/bad")
    put(harness, payloads, "good")
    payloads.status["/bad"] = 500
    origins = [f"origin-{number}" for number in range(3)]
    for each in origins:
        queue_calls(WebhookEvent.BATCH_ENDED, each, 1, harness.now(), {})
    harness.advance(1)
    put_mail("mailed", harness.now())
    monkeypatch.setattr(mail, "MAX_COUNTED_REPORTS", 1)
    monkeypatch.setattr(mail, "CALLS_A_MINUTE", 5)

    mail.deliver_waiting(harness.report_context())

    calls = [call for each in origins for call in calls_of(each)]
    tries = [each.delivery.tries for each in calls if each.webhook == "bad"]
    assert [each.delivery.state for each in calls if each.webhook == "good"] == ["delivered"] * 3
    assert tries == [1, 1, 0]  # the second one after all calls of the other webhook
    assert reports.get("mailed", 1).delivery.state is DeliveryState.SENT


def test_a_call_takes_no_longer_than_a_tick_has_for_it(
    harness: Harness, payloads: Payloads
) -> None:
    """A host may have four addresses that do not answer, or a slow name server."""

    def resolve(*host: Any, **options: Any) -> list[tuple[Any, ...]]:
        harness.advance(CALL_TIMEOUT_S)
        return socket.getaddrinfo(*host, **options)

    put(harness, payloads)
    queue_calls(WebhookEvent.BATCH_ENDED, "origin", 1, harness.now(), {})
    harness.http = HttpClient(harness.settings.allowed_hosts, harness.now, resolve=resolve)

    mail.deliver_waiting(harness.report_context())

    (found,) = calls_of("origin")
    assert payloads.posted == []
    assert found.delivery.state is DeliveryState.QUEUED
    assert found.delivery.error == "it did not answer in 15 seconds"


class ReportDyingAt(DyingAt):
    """Dies at a call of the functions that settle and report."""

    def __init__(self, harness: Harness, number: int, *, is_sent: bool) -> None:
        super().__init__(number, is_sent=is_sent)
        self._harness = harness

    def before(self, call: Call) -> Answer | None:
        return super().before(call) if self._is_reporting else None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self._is_reporting:
            super().after(call, status, parsed)

    @property
    def _is_reporting(self) -> bool:
        return self._harness.interceptor.role == "ReportRole"


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_worker_that_dies_at_any_call_calls_at_least_once_with_one_id(
    harness: Harness, payloads: Payloads, is_sent: bool
) -> None:
    secret = put(harness, payloads)
    undisturbed = ReportDyingAt(harness, -2, is_sent=is_sent)
    _deposit_and_die(harness, payloads, secret, undisturbed)
    assert len(undisturbed.calls) > 20

    for number in range(len(undisturbed.calls)):
        dying = ReportDyingAt(harness, number, is_sent=is_sent)
        _deposit_and_die(harness, payloads, secret, dying)


def _deposit_and_die(
    harness: Harness, payloads: Payloads, secret: str, dying: ReportDyingAt
) -> None:
    """Deposit with a worker that dies, and check what the receiver got."""
    payloads.posted.clear()
    payloads.posted_raw.clear()
    with harness.interceptor.listening(dying):
        batch_id = deposit(harness, payloads)
    for _ in range(3):
        harness.advance(16 * 60)
        harness.tick()

    assert harness.batch(batch_id).batch.state == "completed"
    assert [each.delivery.state for each in calls_of(batch_id)] == ["delivered"]
    assert 1 <= len(payloads.posted) <= 2
    assert len({sent["webhook-id"] for sent, _ in payloads.posted_raw}) == 1
    assert all(is_signed(each, secret) for each in payloads.posted_raw)
    assert {each["data"]["state"] for each in payloads.posted} == {"completed"}


# Put and delete


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "https://10.1.2.3/hook",
        "https://169.254.169.254/latest",
        "https://localhost/hook",
        "https://hooks.example.org:9001/",
        "https://me:secret@hooks.example.org/",
        "ftp://hooks.example.org/",
        "",
    ],
)
def test_a_webhook_is_public_and_https(harness: Harness, payloads: Payloads, url: str) -> None:
    with pytest.raises(BadRequest, match="the webhook's URL"):
        put(harness, payloads, url=url)


def test_only_a_new_secret_is_shown(harness: Harness, payloads: Payloads) -> None:
    wanted = WebhookRequest("ours", f"{payloads.url}/hook", BATCH_ENDED, ())
    request = harness.context(key="first")

    created = webhooks.put(wanted, request)
    repeated = webhooks.put(wanted, request)
    changed = webhooks.put(replace(wanted, collections=("maps",)), harness.context())
    rotated = webhooks.put(replace(wanted, new_secret=True), harness.context())

    assert created == repeated
    assert [each.has_new_secret for each in (created, changed, rotated)] == [True, False, True]
    assert created.webhook.secret == changed.webhook.secret != rotated.webhook.secret
    assert len(base64.b64decode(created.webhook.secret.removeprefix("whsec_"))) == 32


def test_there_are_so_many_webhooks_at_most(harness: Harness, payloads: Payloads) -> None:
    for number in range(MAX_WEBHOOKS):
        put(harness, payloads, f"hook-{number}")
    with pytest.raises(InvalidTransition, match=f"there are {MAX_WEBHOOKS} webhooks"):
        put(harness, payloads, "one-more")

    webhooks.delete("hook-7", harness.context())
    put(harness, payloads, "one-more")

    stored, _ = store.list_all()
    assert sorted(each.slot for each in stored if not each.is_deleted) == list(range(MAX_WEBHOOKS))
    with pytest.raises(NotFound):
        webhooks.delete("hook-7", harness.context())


def test_two_admins_at_once_do_not_overwrite_each_other(
    harness: Harness, payloads: Payloads
) -> None:
    put(harness, payloads)
    stored, version = store.list_all()
    put(harness, payloads, "another")

    with pytest.raises(StaleState):
        store.put_all(stored, version)


def test_the_documentation_names_the_events_and_the_fields(
    harness: Harness, payloads: Payloads
) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| `(\w+\.\w+\.v\d+)` \|[^|]+\| (.*) \|$", page, re.MULTILINE)
    put(harness, payloads)

    deposit(harness, payloads)

    (sent,) = payloads.posted
    assert "after 1, 5 and 30 minutes, and 2, 5, 10, 14, 20 and 24 hours." in page
    assert [each.total_seconds() / 60 for each in PAUSES[:3]] == [1, 5, 30]
    assert [each.total_seconds() / 3600 for each in PAUSES[3:]] == [2, 5, 10, 14, 20, 24]
    assert [name for name, _ in rows] == [*WebhookEvent]
    assert re.findall(r"`(\w+)`", dict(rows)["batch.ended.v1"]) == [*sent["data"]]
    (example,) = re.findall(r'^```json\n(\{\n  "type": "batch.*?)^```$', page, re.M | re.S)
    assert json.loads(example)["data"].keys() == sent["data"].keys()
