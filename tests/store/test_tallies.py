"""A tally reads back, is small, and is written by one at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import pytest
from botocore.exceptions import ReadTimeoutError

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.tally import COLUMN_SHARES, STRIP_COLUMNS, StripSegment, Tally
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import PROGRESS_ORDER, JobState
from jobyard.store import batches, tables, tallies
from jobyard.store.tallies import LIFETIME, StoredTally
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener
from tests.store.sizes import item_bytes

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNTIL = NOON + timedelta(seconds=30)
NEW = StoredTally()
MAX_BYTES = 8 * 1024

TALLY = Tally(
    counts={state.value: 0 for state in JobState} | {"succeeded": 3, "failed": 1, "total": 4},
    failures={"TIMEOUT": 1},
    failed_at={"TIMEOUT": (NOON - timedelta(minutes=2), NOON)},
    not_requeueable={},
    next_retry=NOON + timedelta(minutes=1),
    strip=(
        StripSegment(3, ((JobState.SUCCEEDED, 15),)),
        StripSegment(1, ((JobState.FAILED, 1), (JobState.SCHEDULED, 14))),
    ),
    counted_at=NOON,
    batch_version=7,
    duration=timedelta(milliseconds=250),
    operations_version=2,
    is_final=True,
)


def stored(batch_id: str) -> StoredTally:
    return tallies.of_batches([batch_id])[batch_id]


def claimed(batch_id: str, seen: StoredTally = NEW) -> StoredTally:
    found = tallies.claim(batch_id, seen, NOON, UNTIL)
    assert found is not None
    return found


def test_a_tally_reads_back_as_it_was_written() -> None:
    assert tallies.of_batches(["b-new"]) == {}

    mine = claimed("b-new")
    assert stored("b-new") == mine == StoredTally(None, UNTIL, 1)
    assert tallies.put("b-new", mine, TALLY)

    assert stored("b-new") == StoredTally(TALLY, None, 2)


def test_a_strip_reads_back_as_it_was_written() -> None:
    assert tallies.encode_strip(TALLY.strip) == "3sf,f1we"
    assert tallies.parse_strip("3sf,f1we") == TALLY.strip
    assert tallies.parse_strip("") == ()


def test_who_claims_keeps_the_tally_before() -> None:
    tallies.put("b-again", claimed("b-again"), TALLY)

    claimed("b-again", stored("b-again"))

    assert stored("b-again") == StoredTally(TALLY, UNTIL, 3)


def test_one_of_two_claims() -> None:
    mine = claimed("b-two")

    assert tallies.claim("b-two", NEW, NOON, UNTIL) is None
    assert stored("b-two") == mine


def test_who_was_overtaken_stores_nothing() -> None:
    late = claimed("b-late")
    other = claimed("b-late", late)

    assert not tallies.put("b-late", late, replace(TALLY, batch_version=1))
    assert tallies.put("b-late", other, TALLY)
    assert stored("b-late").tally == TALLY


class Failing(Listener):
    """No PutItem is answered."""

    def before(self, call: Call) -> Answer | None:
        if call.operation == "PutItem":
            raise ReadTimeoutError(endpoint_url="https://dynamodb.example.org")
        return None


def test_a_tally_that_cannot_be_written_is_no_error(aws_semantics: CallInterceptor) -> None:
    mine = claimed("b-fails")

    with aws_semantics.listening(Failing()):
        assert tallies.claim("b-fails", mine, NOON, UNTIL) is None
        assert not tallies.put("b-fails", mine, TALLY)

    assert stored("b-fails") == mine


def test_a_tally_is_in_no_list_of_batches_and_expires() -> None:
    batch = Batch("b-listed", BatchState.PENDING, 0, "tallied", "me", "deposit", "m.csv", NOON)
    batches.put_new(batch)
    tallies.put("b-listed", claimed("b-listed"), TALLY)

    item = tables.BatchItem.get("b-listed#tally")
    assert item.expires == (NOON + LIFETIME).timestamp()
    assert [each.batch_id for each in batches.of_collection("tallied", limit=9).items] == [
        "b-listed"
    ]
    assert batches.of_state("tally", limit=9).items == ()


def test_the_largest_tally_is_small() -> None:
    """Ten million jobs, every state and failure code, and no two neighbouring columns alike."""
    many = 10_000_000
    starts = islice(cycle(range(len(PROGRESS_ORDER) - 3)), STRIP_COLUMNS)
    strip = tuple(
        StripSegment(1, tuple((state, COLUMN_SHARES) for state in PROGRESS_ORDER[at : at + 4]))
        for at in starts
    )
    largest = replace(
        TALLY,
        counts={state.value: many for state in JobState} | {"total": many},
        failures={code.value: many for code in Failure},
        not_requeueable={code.value: many for code in Failure},
        strip=strip,
        duration=timedelta(minutes=1),
        is_final=False,
        batch_version=10**6,
        operations_version=10**6,
    )
    tallies.put("b-largest", claimed("b-largest"), largest)
    claimed("b-largest", stored("b-largest"))

    assert item_bytes("batches", {"batch_id": {"S": "b-largest#tally"}}) <= MAX_BYTES
    assert stored("b-largest").tally == largest
