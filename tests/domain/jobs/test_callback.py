"""Callbacks: tokens that answer a call, once and in time."""

from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.errors import BadRequest, Gone, NotFound, StaleState
from jobyard.domain.jobs.callback import (
    MAX_TOKENS,
    RESULT_BYTES,
    Callback,
    CallbackAnswer,
    split_token,
    token_of,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DONE = CallbackAnswer.of("succeeded", {"words": 4}, "")


def test_the_first_answer_counts_and_its_repeat_changes_nothing() -> None:
    issued = Callback("job").issued("a", NOON + HOUR).issued("b", NOON + 2 * HOUR)

    answered = issued.answered("a", DONE, NOON)

    assert (answered.answer, answered.version) == (DONE, 3)
    assert answered.answered("b", DONE, NOON + 9 * HOUR) is answered
    with pytest.raises(StaleState):
        answered.answered("a", CallbackAnswer.of("failed", {}, ""), NOON)


def test_a_token_is_valid_until_it_expires_and_for_its_own_call() -> None:
    issued = Callback("job").issued("a", NOON + HOUR)

    with pytest.raises(Gone):
        issued.answered("a", DONE, NOON + HOUR)
    with pytest.raises(NotFound):
        issued.answered("b", DONE, NOON)
    with pytest.raises(NotFound):
        Callback("other").answered("a", DONE, NOON)


def test_the_record_does_not_have_its_tokens_and_keeps_the_last_ones() -> None:
    callback = Callback("job")
    for number in range(MAX_TOKENS + 1):
        callback = callback.issued(f"secret-{number}", NOON + HOUR)

    assert "secret" not in str(callback)
    assert len(callback.tokens) == MAX_TOKENS
    for number in range(1, MAX_TOKENS + 1):  # the latest one, and the seven before it
        assert callback.answered(f"secret-{number}", DONE, NOON).answer == DONE
    with pytest.raises(NotFound):
        callback.answered("secret-0", DONE, NOON)


def test_a_token_names_its_call() -> None:
    assert split_token(token_of("b.0.0.2", "a-b_c")) == ("b.0.0.2", "a-b_c")
    for wrong in ("", ".", "a", "a.", ".b"):
        with pytest.raises(NotFound):
            split_token(wrong)


def test_an_answer_is_small_and_clean() -> None:
    assert CallbackAnswer.of("failed", {"a": "\x1b"}, "x\ny").result == {"a": "\ufffd"}
    with pytest.raises(BadRequest):
        CallbackAnswer.of("succeeded", {"a": "x" * RESULT_BYTES}, "")
