"""The outbox tick's handler: it sends queued mails and emits metrics."""

from datetime import UTC, datetime
from types import ModuleType

import pytest

from cli.local import clients
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.metrics import DIMENSIONS
from jobyard.domain.rates import JobTotals
from jobyard.services.build import build
from jobyard.store import rates, reports
from tests.functions.invocations import BUCKETS, Context, emitted
from tests.functions.records import a_report

pytestmark = pytest.mark.emulator


def test_the_tick_sends_queued_mails_and_emits_metrics(
    functions: dict[str, ModuleType], store_endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = clients.client("s3", store_endpoint)
    for suffix in ("txt", "html"):
        s3.put_object(Bucket=BUCKETS[1], Key=f"b-queued.{suffix}", Body=b"words")
    a_report("b-queued", DeliveryState.QUEUED)
    rates.add(0, JobTotals(started=1))

    functions["report.outbox_tick"].handler({}, Context())

    assert reports.get("b-queued", 1).delivery.state is DeliveryState.SENT
    found = emitted("\n".join(x for x in capsys.readouterr().out.splitlines() if "_aws" in x))
    assert {name: dims for name, dims in found.items() if DIMENSIONS[name] != dims} == {}
    assert rates.totals().seen_build == build()
    assert {"UndeliveredReports", "OpenBatches", "OldestOpenBatchAgeSeconds"} <= set(found)


def test_an_undelivered_mail_is_counted_for_a_while(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    before = functions["report.outbox_tick"].handler({}, Context())["undelivered"]
    lost = a_report("b-lost", DeliveryState.SENT)
    reports.put_delivery(lost, Delivery(DeliveryState.BOUNCED, datetime.now(UTC)))

    after = functions["report.outbox_tick"].handler({}, Context())["undelivered"]

    assert after == before + 1
