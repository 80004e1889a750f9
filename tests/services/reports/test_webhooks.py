"""Webhooks: what is delivered when a batch ends, how it is signed, retried and exhausted."""

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
from jobyard.domain.webhooks import (
    MAX_WEBHOOKS,
    PAUSES,
    WEBHOOK_TRIES,
    WebhookEvent,
    headers,
    webhook_id,
)
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services import webhooks
from jobyard.services.reports import mail
from jobyard.services.reports.commands import resend
from jobyard.services.reports.webhooks import DELIVERY_TIMEOUT_S, queue_deliveries
from jobyard.services.webhooks import WebhookEdit, WebhookSettings
from jobyard.store import reports
from jobyard.store import webhooks as store
from jobyard.store.reports import of_webhook as store_of_deliveries
from tests.call_interceptor import Answer, Call
from tests.harness import Harness, Payloads, single_files
from tests.services.datasets.crashes import DyingAt

BATCH_ENDED = (WebhookEvent.BATCH_ENDED,)


def create(harness: Harness, payloads: Payloads, name: str = "ours", **changes: Any) -> str:
    """Create a webhook at the test's server. Returns its secret."""
    wanted = WebhookSettings(f"{payloads.url}/hook", BATCH_ENDED)
    return webhooks.create(name, replace(wanted, **changes), harness.context()).secret


def deposit(harness: Harness, payloads: Payloads, collection: str = "maps") -> str:
    text = single_files(payloads, {"a.txt": b"a"})
    return harness.drop(text, collection=collection)


def put_mail(batch_id: str, at: datetime) -> None:
    """Store a report whose mail waits to be sent."""
    texts = {"mail.txt": "words", "report.html": "words"}
    to, queued = ("a@example.org",), Delivery(DeliveryState.QUEUED, at)
    found = Report(batch_id, 1, ReportKind.FIRST, at, to, "words", "OK", {}, 0, {}, queued)
    reports.put_new(replace(found, texts=texts))


def deliveries_of(batch_id: str) -> list[Any]:
    return [each for each in reports.of_batch(batch_id) if each.webhook]


def is_signed(call: tuple[dict[str, str], bytes], secret: str) -> bool:
    """As the specification says that a receiver checks it."""
    sent, body = call
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{digest}" in sent["webhook-signature"].split(" ")


def test_a_signature_is_that_of_the_specifications_example() -> None:
    """The example of the reference libraries, which all share it."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)

    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [secret])

    assert made["webhook-timestamp"] == "1614265330"
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_end_of_a_batch_is_delivered_signed(harness: Harness, payloads: Payloads) -> None:
    secret = create(harness, payloads)

    batch_id = deposit(harness, payloads)

    (call,) = payloads.posted_raw
    (body,) = payloads.posted
    (report,) = deliveries_of(batch_id)
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


def test_a_webhook_gets_events_of_its_collections_only(
    harness: Harness, payloads: Payloads
) -> None:
    create(harness, payloads, collections=("books",))
    create(harness, payloads, "campaigns", events=(WebhookEvent.CAMPAIGN_ENDED,))

    deposit(harness, payloads)
    assert payloads.posted == []
    batch_id = deposit(harness, payloads, "books")

    assert [each["data"]["batch_id"] for each in payloads.posted] == [batch_id]


def test_a_delivery_is_retried_with_growing_pauses_until_it_is_exhausted(
    harness: Harness, payloads: Payloads
) -> None:
    create(harness, payloads)
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

    (report,) = deliveries_of(batch_id)
    assert len(payloads.posted) == WEBHOOK_TRIES
    assert (report.delivery.state, report.delivery.error) == ("failed", "it answered 503")
    assert len({sent["webhook-id"] for sent, _ in payloads.posted_raw}) == 1
    assert len({sent["webhook-timestamp"] for sent, _ in payloads.posted_raw}) == WEBHOOK_TRIES


def test_a_failed_delivery_is_sent_again_on_request(harness: Harness, payloads: Payloads) -> None:
    secret = create(harness, payloads)
    payloads.status["/hook"] = 410  # no more deliveries are wanted, so none is tried
    batch_id = deposit(harness, payloads)
    (failed,) = deliveries_of(batch_id)
    assert failed.delivery.state == "failed"

    payloads.status["/hook"] = 204
    resend(batch_id, failed.seq, harness.context())
    harness.tick()

    (report,) = deliveries_of(batch_id)
    assert report.delivery.state == "delivered"
    assert [is_signed(each, secret) for each in payloads.posted_raw] == [True, True]


def test_deliveries_to_a_deleted_webhook_fail(harness: Harness, payloads: Payloads) -> None:
    create(harness, payloads)
    payloads.status["/hook"] = 500
    batch_id = deposit(harness, payloads)

    webhooks.delete("ours", harness.context())
    harness.advance(61)
    harness.tick()

    (report,) = deliveries_of(batch_id)
    assert report.delivery.state == "failed"
    assert report.delivery.error == "there is no such webhook any more"
    assert len(payloads.posted) == 1


def test_a_slow_receiver_delays_no_mail_and_is_no_undelivered_report(
    harness: Harness, payloads: Payloads
) -> None:
    from jobyard.services.reports.mail import deliver_waiting

    create(harness, payloads)
    payloads.status["/hook"] = 500
    deposit(harness, payloads)
    harness.advance(3600)

    assert deliver_waiting(harness.report_context(), lambda: 19.0) == 0
    assert len(payloads.posted) == 1  # the tick has no time left for a delivery
    deliver_waiting(harness.report_context())
    assert len(payloads.posted) == 2


def test_a_receiver_that_fails_delays_no_other_one_and_no_mail(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(harness, payloads, "bad", url=f"{payloads.url}/bad")
    create(harness, payloads, "good")
    payloads.status["/bad"] = 500
    origins = [f"origin-{number}" for number in range(3)]
    for each in origins:
        queue_deliveries(WebhookEvent.BATCH_ENDED, each, 1, harness.now(), {})
    harness.advance(1)
    put_mail("mailed", harness.now())
    monkeypatch.setattr(mail, "MAX_COUNTED_REPORTS", 1)
    monkeypatch.setattr(mail, "WEBHOOKS_PER_MINUTE", 5)

    mail.deliver_waiting(harness.report_context())

    found = [one for each in origins for one in deliveries_of(each)]
    tries = [each.delivery.tries for each in found if each.webhook == "bad"]
    assert [each.delivery.state for each in found if each.webhook == "good"] == ["delivered"] * 3
    assert tries == [1, 1, 0]  # the second one after all of the other webhook
    assert reports.get("mailed", 1).delivery.state is DeliveryState.SENT


def test_an_attempt_takes_no_longer_than_a_tick_has_for_it(
    harness: Harness, payloads: Payloads
) -> None:
    """A host may have four addresses that do not answer, or a slow name server."""

    def resolve(*host: Any, **options: Any) -> list[tuple[Any, ...]]:
        harness.advance(DELIVERY_TIMEOUT_S)
        return socket.getaddrinfo(*host, **options)

    create(harness, payloads)
    queue_deliveries(WebhookEvent.BATCH_ENDED, "origin", 1, harness.now(), {})
    harness.http = HttpClient(harness.settings.allowed_hosts, harness.now, resolve=resolve)

    mail.deliver_waiting(harness.report_context())

    (found,) = deliveries_of("origin")
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


@pytest.mark.turns(2)
@pytest.mark.parametrize("is_sent", [False, True])
def test_a_worker_that_dies_at_any_call_delivers_at_least_once_with_one_id(
    harness: Harness, payloads: Payloads, is_sent: bool
) -> None:
    secret = create(harness, payloads)
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
    assert [each.delivery.state for each in deliveries_of(batch_id)] == ["delivered"]
    assert 1 <= len(payloads.posted) <= 2
    assert len({sent["webhook-id"] for sent, _ in payloads.posted_raw}) == 1
    assert all(is_signed(each, secret) for each in payloads.posted_raw)
    assert {each["data"]["state"] for each in payloads.posted} == {"completed"}


# Create, change and delete


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
        create(harness, payloads, url=url)


def test_a_repeat_of_a_creation_and_of_a_rotation_has_the_same_secret(
    harness: Harness, payloads: Payloads
) -> None:
    wanted = WebhookSettings(f"{payloads.url}/hook", BATCH_ENDED)
    first, second = harness.context(key="first"), harness.context(key="second")

    created = [webhooks.create("ours", wanted, first) for _ in range(2)]
    changed = webhooks.update("ours", WebhookEdit(collections=("maps",)), harness.context())
    rotated = [webhooks.rotate_secret("ours", second) for _ in range(2)]

    assert created[0] == created[1]
    assert rotated[0] == rotated[1]
    assert (changed.secret, changed.collections) == (created[0].secret, ("maps",))
    assert len({created[0].secret, rotated[0].secret}) == 2
    assert len(base64.b64decode(created[0].secret.removeprefix("whsec_"))) == 32
    with pytest.raises(InvalidTransition, match="already exists"):
        webhooks.create("ours", wanted, harness.context())


def test_both_secrets_sign_until_the_overlap_of_a_rotation_ends(
    harness: Harness, payloads: Payloads
) -> None:
    former = create(harness, payloads)
    newer = webhooks.rotate_secret("ours", harness.context(), 2).secret

    deposit(harness, payloads)
    harness.advance(2 * 3600)
    deposit(harness, payloads)

    during, after = payloads.posted_raw
    signed_by = [
        [is_signed(each, secret) for secret in (newer, former)] for each in (during, after)
    ]
    assert signed_by == [[True, True], [True, False]]
    assert len(during[0]["webhook-signature"].split(" ")) == 2


def test_a_rotation_without_an_overlap_ends_the_former_secret_at_once(
    harness: Harness, payloads: Payloads
) -> None:
    former = create(harness, payloads)
    webhooks.rotate_secret("ours", harness.context(), 0)

    deposit(harness, payloads)

    assert not is_signed(payloads.posted_raw[0], former)
    with pytest.raises(BadRequest, match="0 to 168 hours"):
        webhooks.rotate_secret("ours", harness.context(), 169)


def test_a_disabled_webhook_gets_nothing_and_its_pending_deliveries_fail(
    harness: Harness, payloads: Payloads
) -> None:
    create(harness, payloads)
    payloads.status["/hook"] = 500
    pending = deposit(harness, payloads)

    webhooks.disable("ours", harness.context())
    missed = deposit(harness, payloads)
    harness.advance(61)
    harness.tick()

    (failed,) = deliveries_of(pending)
    assert (failed.delivery.state, failed.delivery.error) == ("failed", "the webhook is disabled")
    assert (deliveries_of(missed), len(payloads.posted)) == ([], 1)


def test_a_failed_delivery_is_redelivered_once_the_webhook_is_enabled(
    harness: Harness, payloads: Payloads
) -> None:
    create(harness, payloads)
    payloads.status["/hook"] = 410
    batch_id = deposit(harness, payloads)
    payloads.status["/hook"] = 200
    ((failed,), _) = store_of_deliveries("ours", "", 5)
    delivery_id = webhook_id(batch_id, failed.seq)
    webhooks.disable("ours", harness.context())

    with pytest.raises(InvalidTransition, match="enable it first"):
        webhooks.redeliver("ours", delivery_id, harness.context())
    webhooks.enable("ours", harness.context())
    for _ in range(2):  # a repeat
        webhooks.redeliver("ours", delivery_id, harness.context(key="again"))
    with pytest.raises(InvalidTransition, match="pending"):
        webhooks.redeliver("ours", delivery_id, harness.context())
    harness.tick()

    assert [each.delivery.state for each in deliveries_of(batch_id)] == ["delivered"]
    assert len(payloads.posted) == 2
    for unknown in ("msg_b_1", delivery_id + "0", "nonsense"):
        with pytest.raises(NotFound):
            webhooks.redeliver("ours", unknown, harness.context())


def test_deliveries_are_listed_newest_first_in_pages(harness: Harness, payloads: Payloads) -> None:
    create(harness, payloads)
    create(harness, payloads, "other")
    for number in range(5):
        queue_deliveries(WebhookEvent.BATCH_ENDED, f"origin-{number}", 1, harness.now(), {})
        harness.advance(1)

    found: list[Any] = []
    before: str | None = ""
    while before is not None:
        page, before = store_of_deliveries("ours", before, 2)
        assert len(page) <= 2
        found += page

    assert [each.batch_id for each in found] == [f"origin-{number}" for number in (4, 3, 2, 1, 0)]


def test_thousands_of_deliveries_for_one_receiver_delay_no_other_one(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick reads no more of each webhook than it may try."""
    create(harness, payloads, "bad", url=f"{payloads.url}/bad")
    create(harness, payloads, "good")
    payloads.status["/bad"] = 500
    webhooks.disable("good", harness.context())
    for number in range(12):
        queue_deliveries(WebhookEvent.BATCH_ENDED, f"old-{number}", 1, harness.now(), {})
    webhooks.enable("good", harness.context())
    harness.advance(1)
    queue_deliveries(WebhookEvent.BATCH_ENDED, "new", 1, harness.now(), {})
    monkeypatch.setattr(mail, "WEBHOOKS_PER_MINUTE", 3)

    mail.deliver_waiting(harness.report_context())

    states = {each.webhook: each.delivery.state.value for each in deliveries_of("new")}
    assert states == {"bad": "queued", "good": "delivered"}


def test_there_are_so_many_webhooks_at_most(harness: Harness, payloads: Payloads) -> None:
    for number in range(MAX_WEBHOOKS):
        create(harness, payloads, f"hook-{number}")
    with pytest.raises(InvalidTransition, match=f"there are {MAX_WEBHOOKS} webhooks"):
        create(harness, payloads, "one-more")

    webhooks.delete("hook-7", harness.context())
    create(harness, payloads, "one-more")

    stored, _ = store.list_all()
    assert sorted(each.slot for each in stored if not each.is_deleted) == list(range(MAX_WEBHOOKS))
    with pytest.raises(NotFound):
        webhooks.delete("hook-7", harness.context())


def test_two_admins_at_once_do_not_overwrite_each_other(
    harness: Harness, payloads: Payloads
) -> None:
    create(harness, payloads)
    stored, version = store.list_all()
    create(harness, payloads, "another")

    with pytest.raises(StaleState):
        store.put_all(stored, version)


def test_the_documentation_names_the_events_and_the_fields(
    harness: Harness, payloads: Payloads
) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| `(\w+\.\w+\.v\d+)` \|[^|]+\| (.*) \|$", page, re.MULTILINE)
    create(harness, payloads)

    deposit(harness, payloads)

    (sent,) = payloads.posted
    assert "after 1, 5 and 30 minutes, and 2, 5, 10, 14, 20 and 24 hours." in page
    assert [each.total_seconds() / 60 for each in PAUSES[:3]] == [1, 5, 30]
    assert [each.total_seconds() / 3600 for each in PAUSES[3:]] == [2, 5, 10, 14, 20, 24]
    assert [name for name, _ in rows] == [*WebhookEvent]
    assert re.findall(r"`(\w+)`", dict(rows)["batch.ended.v1"]) == [*sent["data"]]
    (example,) = re.findall(r'^```json\n(\{\n  "type": "batch.*?)^```$', page, re.M | re.S)
    assert json.loads(example)["data"].keys() == sent["data"].keys()
