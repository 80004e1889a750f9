"""Transactions: all or nothing, each item only in the version that was read, with retries after
conflicts."""

from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from jobyard.domain.errors import StaleState
from jobyard.store import transactions
from jobyard.store.tables import CheckpointItem, OperationItem
from tests.call_interceptor import CallInterceptor
from tests.faults.aws_semantics import Cancelling

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A new checkpoint's name."""
    return str(request.node.name)


def named(name: str, version: int) -> CheckpointItem:
    return CheckpointItem(job_id=name, version=version, expires=0, body={})


def versions(*names: str) -> list[int | None]:
    """The stored versions of checkpoints; None where there is none."""
    found = {each.job_id: int(each.version) for each in CheckpointItem.batch_get(names)}
    return [found.get(each) for each in names]


def test_an_item_is_put_over_what_was_seen_and_nothing_else(name: str) -> None:
    transactions.write([transactions.put(named(name, 1), 0)])
    with pytest.raises(StaleState):
        transactions.write([transactions.put(named(name, 9), 0)])
    with pytest.raises(StaleState):
        transactions.write([transactions.put(named(name, 9), 2)])
    assert versions(name) == [1]

    transactions.write([transactions.put(named(name, 2), 1)])
    assert versions(name) == [2]


def test_an_item_is_deleted_as_it_was_seen_and_not_otherwise(name: str) -> None:
    transactions.write([transactions.put(named(name, 3), 0)])

    with pytest.raises(StaleState):
        transactions.write([transactions.delete(CheckpointItem(job_id=name), 2)])
    assert versions(name) == [3]

    transactions.write([transactions.delete(CheckpointItem(job_id=name), 3)])
    assert versions(name) == [None]


def test_all_are_written_or_none(name: str) -> None:
    other = f"{name}-other"
    transactions.write([transactions.put(named(other, 1), 0)])

    with pytest.raises(StaleState):
        transactions.write(
            [transactions.put(named(name, 1), 0), transactions.put(named(other, 2), 7)]
        )

    assert versions(name, other) == [None, 1]


def test_a_write_can_require_the_state_of_another_item(name: str) -> None:
    keys = {"batch_id": name, "operation_id": "r1"}
    OperationItem(**keys, state="accepted", body={}).save()

    with pytest.raises(StaleState):
        transactions.write(
            [
                transactions.require_state(OperationItem(**keys), "done"),
                transactions.put(named(name, 1), 0),
            ]
        )
    assert versions(name) == [None]

    transactions.write(
        [
            transactions.require_state(OperationItem(**keys), "accepted"),
            transactions.put(named(name, 1), 0),
        ]
    )
    assert versions(name) == [1]


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError"])
def test_a_temporary_error_is_retried_with_growing_pauses_up_to_a_limit(
    aws_semantics: CallInterceptor, name: str, code: str
) -> None:
    pauses: list[float] = []
    cancelling = Cancelling(code)

    with (
        aws_semantics.listening(cancelling),
        pytest.raises(ClientError, match="TransactionCanceled"),
    ):
        transactions.write([transactions.put(named(name, 1), 0)], pause=pauses.append)

    assert cancelling.call_count == len(pauses) + 1 > 5
    # With jitter a pause may be as long as the next, but not as the one after.
    assert all(before < later for before, later in pairwise(pauses[::2]))
    assert 5 < sum(pauses) < 15


@pytest.mark.parametrize(
    ("code", "error"), [("ConditionalCheckFailed", StaleState), ("None", ClientError)]
)
def test_a_permanent_error_is_not_retried(
    aws_semantics: CallInterceptor, name: str, code: str, error: type[Exception]
) -> None:
    pauses: list[float] = []

    with aws_semantics.listening(Cancelling(code)), pytest.raises(error):
        transactions.write([transactions.put(named(name, 1), 0)], pause=pauses.append)

    assert pauses == []
