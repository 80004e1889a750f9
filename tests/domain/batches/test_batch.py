"""The transitions of a batch, and who may cause them."""

import pytest

from jobyard.domain.batches.batch import BATCH

SEED_MOVES = [
    ("pending", "start", "processing"),
    ("pending", "hold", "held"),
    ("held", "release", "pending"),
    ("held", "delete", "deleted"),
    ("processing", "report", "reporting"),
    ("reporting", "complete", "completed"),
    ("reporting", "fail", "failed"),
    ("failed", "update_reporting", "update_reporting"),
    ("update_reporting", "complete", "completed"),
    ("update_reporting", "fail", "failed"),
    ("failed", "delete", "deleted"),
]


@pytest.mark.parametrize(("before", "event", "after"), SEED_MOVES)
def test_a_batch_has_the_transitions_of_merritt(before: str, event: str, after: str) -> None:
    assert BATCH.transition(before, event).after == after


def test_only_an_administrator_updates_a_report_or_deletes_a_batch() -> None:
    assert BATCH.transition("failed", "update_reporting").senders == ("admin",)
    assert BATCH.transition("failed", "delete").senders == ("admin",)
