"""The cost of a batch, through the API."""

from datetime import timedelta

import pytest

from jobyard.domain.cost import PRICES, Usage
from jobyard.domain.rates import JobTotals
from jobyard.services.rates import sample_rates
from jobyard.store import rates, usage
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import a_batch


def test_a_bill_adds_up_what_every_part_used(api: Api) -> None:
    batch = a_batch("completed", entries=4)
    usage.add(batch.batch_id, "open", Usage(write_units=3, transitions=3, invocations=1, ms=5))
    usage.add(batch.batch_id, "chunk-0", Usage(write_units=9, transitions=2, invocations=1, ms=7))
    usage.add(batch.batch_id, "chunk-0", Usage(write_units=1))

    bill = api.get(f"/batches/{batch.batch_id}/cost").json

    lines = {line["kind"]: line for line in bill["lines"]}
    assert [*lines] == [price.kind for price in PRICES]
    assert lines["write_units"]["quantity"] == 13
    assert lines["transitions"]["quantity"] == 5
    assert bill["billed_ms"] == 12
    assert bill["dollars"] == pytest.approx(13 * 0.625e-6 + 5 * 25e-6 + 2 * 0.2e-6)
    assert bill["dollars_per_job"] == pytest.approx(bill["dollars"] / 4)
    assert bill["priced_on"] == "2026-10-04"


def test_a_batch_that_used_nothing_yet_costs_nothing(api: Api) -> None:
    bill = api.get(f"/batches/{a_batch('pending').batch_id}/cost").json

    assert bill["dollars"] == 0
    assert bill["dollars_per_job"] is None


def test_a_month_costs_what_all_its_origins_used(api: Api) -> None:
    rates.add(0, JobTotals(), Usage(write_units=5e6))
    sample_rates(0, NOW - timedelta(days=30))
    for shard in (1, 2, 10):
        rates.add(shard, JobTotals(), Usage(write_units=1e6))
    sample_rates(0, NOW)

    bill = api.get("/cost", role="viewer").json

    assert bill["month"] == "2026-11"
    assert bill["dollars"] == pytest.approx(3 * 0.625)
