"""The Open state's handler: events of the shape that AWS sends in, answers and effects out."""

import re
from datetime import UTC, datetime
from types import ModuleType

import pytest

from cli.local import clients
from jobyard.domain.batches.batch import BatchState
from jobyard.store import batches, reports, usage
from tests.functions.invocations import BUCKETS, Context, event_of

pytestmark = pytest.mark.emulator
NOW = datetime.now(UTC)


def test_a_refused_manifest_goes_through_open_and_report(
    functions: dict[str, ModuleType], store_endpoint: str
) -> None:
    body = b"no manifest at all"
    key = "manifests/fn/bad.checkm"
    clients.client("s3", store_endpoint).put_object(Bucket=BUCKETS[0], Key=key, Body=body)

    opened = functions["ingest.open"].handler(
        {"input": event_of(key, body), "execution": "one"}, Context()
    )
    reported = functions["report.report"].handler(opened, Context())

    assert opened["next"] == "report"
    assert reported["next"] == "end"
    batch = batches.get(opened["origin_id"], NOW)
    assert batch.state is BatchState.FAILED
    used = usage.of_origin(batch.batch_id)
    assert (used.invocations, used.events, used.mails) == (2, 1, 1)
    assert used.transitions == len(["Open", "Opened", "Report", "Reported", "Done"])
    assert used.write_units > 5  # as many writes, and more for indexes and transactions
    mail = reports.get(batch.batch_id, 1).files["mail.txt"]
    text = (
        clients.client("s3", store_endpoint).get_object(Bucket=BUCKETS[1], Key=mail)["Body"].read()
    )
    assert re.search(rb"Cost: +\$\d+\.\d+ \(\d+ write units, 5 transitions", text)


@pytest.mark.parametrize("key", ["manifests/x.checkm", "manifests//x.checkm"])
def test_a_manifest_outside_every_collection_is_logged_and_counted(
    functions: dict[str, ModuleType],
    store_endpoint: str,
    key: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients.client("s3", store_endpoint).put_object(Bucket=BUCKETS[0], Key=key, Body=b"x")
    event = {"execution": "misplaced", "input": event_of(key, b"x")}

    opened = functions["ingest.open"].handler(event, Context())

    assert opened["next"] == "report"
    assert "MisplacedManifests" in capsys.readouterr().out
    (line,) = (vars(each) for each in caplog.records if each.message == "misplaced manifest")
    assert line["key"] == key
