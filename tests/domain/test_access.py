"""Refusals, as people read them."""

import pytest

from jobyard.domain.access import ACCESS, refusal, roles_for


@pytest.mark.parametrize(("kind", "event"), ACCESS)
def test_a_refusal_names_no_event_with_an_underscore(kind: str, event: str) -> None:
    assert "_" not in refusal(kind, event, roles_for(kind, event))


@pytest.mark.parametrize(
    ("kind", "event", "message"),
    [
        (
            "batch",
            "cancel",
            "only its submitter, an operator or an admin may cancel a batch; ask one of them",
        ),
        ("schedule", "run_now", "only an admin may start a run of a schedule; ask one of them"),
        ("job", "claim", "only the machine may claim a job"),
    ],
)
def test_a_refusal_says_who_may_do_it(kind: str, event: str, message: str) -> None:
    assert refusal(kind, event, roles_for(kind, event)) == message
