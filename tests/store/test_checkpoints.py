"""Checkpoints: what was written reads back; only the version that was read is replaced."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from jobyard.domain.jobs.checkpoint import MAX_NAMED_FAILURES, Checkpoint
from jobyard.store import checkpoints
from jobyard.store.tables import CheckpointItem, client

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]


@pytest.fixture
def job(request: pytest.FixtureRequest) -> str:
    """A new job's id."""
    return f"s-{request.node.name}.0.1795107600000"


def write(seen: Checkpoint, after: Checkpoint) -> None:
    client().transact_write_items(TransactItems=[checkpoints.put_item(seen, after, NOW)])


def test_a_job_without_a_checkpoint_is_at_its_beginning(job: str) -> None:
    assert checkpoints.get(job) == Checkpoint(job)


def test_what_is_written_is_read(job: str) -> None:
    first = Checkpoint(job)
    second = first.advanced(
        98, [("V0000003", "legal_hold is true")], {"voter_id": {"S": "V0000098"}}
    )
    third = second.advanced(4, [], {})

    write(first, second)
    assert checkpoints.get(job) == second
    write(second, third)
    assert checkpoints.get(job) == third
    assert third.ended
    assert second.counts["total"] is None  # unknown until the end
    assert third.counts == {"processed": 102, "failed": 1, "total": 103}


def test_a_checkpoint_is_written_only_over_the_one_that_was_seen(job: str) -> None:
    first = Checkpoint(job)
    second = first.advanced(10, [], {"at": 10})
    third = second.advanced(1, [], {"at": 11})
    write(first, second)
    write(second, third)

    for seen, after in (
        (first, second),
        (second, third),
        (second, second.advanced(7, [], {"at": 7})),
    ):
        with pytest.raises(ClientError, match="TransactionCanceled"):
            write(seen, after)
    assert checkpoints.get(job) == third


def test_a_checkpoint_expires_thirty_days_after_its_last_write(job: str) -> None:
    write(Checkpoint(job), Checkpoint(job).advanced(1, [], {}))

    assert CheckpointItem.get(job).expires == datetime(2026, 12, 22, 12, tzinfo=UTC).timestamp()


def test_of_many_failures_all_are_counted_and_the_first_are_listed(job: str) -> None:
    many = [(f"V{number:07}", "legal_hold is true") for number in range(MAX_NAMED_FAILURES + 5)]

    after = Checkpoint(job).advanced(0, many, {"at": 1}).advanced(0, [("V9", "no date")], {"at": 2})

    assert after.failed == MAX_NAMED_FAILURES + 6
    assert after.failures == tuple(many[:MAX_NAMED_FAILURES])


def test_another_pass_counts_no_failure_of_the_one_before_and_keeps_what_is_processed(
    job: str,
) -> None:
    ended = Checkpoint(job).advanced(7, [("V1", "no date")], {})

    assert ended.next_pass() == replace(
        ended, failed=0, failures=(), ended=False, version=1, processed=7
    )
