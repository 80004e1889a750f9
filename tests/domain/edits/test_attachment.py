"""Attachments: links that expire and are replaced, and answers that are given once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.edits.attachment import (
    LINK_TIME,
    MAX_ATTACHMENTS,
    MAX_SENDS,
    Attachment,
    AttachmentState,
    request_attachment,
)
from jobyard.domain.errors import BadRequest, InvalidTransition
from tests.domain.edits.edit_jobs import NOON

REQUESTED = Attachment(1, "Ines", "ines@example.org", "the survey")


def test_only_the_last_link_is_valid_and_for_two_weeks() -> None:
    again = REQUESTED.sent(NOON).sent(NOON)

    again.check_link(2, NOON + LINK_TIME - timedelta(seconds=1))
    with pytest.raises(InvalidTransition, match="newer mail"):
        again.check_link(1, NOON)
    with pytest.raises(InvalidTransition, match="expired"):
        again.check_link(2, NOON + LINK_TIME)


def test_an_answer_is_given_once_and_the_refusal_says_who_gave_it() -> None:
    answered = replace(REQUESTED, state=AttachmentState.DECLINED, answered_by="Ines")

    with pytest.raises(InvalidTransition, match="attachment 1 is declined, by Ines"):
        answered.sent(NOON)
    with pytest.raises(InvalidTransition, match=f"{MAX_SENDS} times"):
        replace(REQUESTED, sends=MAX_SENDS).sent(NOON)


def test_the_bare_address_of_a_custodian_is_kept() -> None:
    (asked,) = request_attachment((), "Ines", " Ines <ines@example.org> ", "x")

    assert asked.email == "ines@example.org"


def test_requests_are_numbered_and_bounded_and_name_a_custodian() -> None:
    some = request_attachment((), "Ines", "ines@example.org", "the survey")

    assert [each.index for each in request_attachment(some, "Jon", "jon@example.org", "x")] == [
        *(1, 2)
    ]
    for custodian, email, description in [
        ("", "ines@example.org", "x"),
        ("Ines", "ines@example.org, jon@example.org", "x"),
        ("Ines", "nobody", "x"),
        ("Ines", "ines@example.org\nBcc: jon@example.org", "x"),
        ("Ines", "ines@example.org", " "),
    ]:
        with pytest.raises(BadRequest):
            request_attachment((), custodian, email, description)
    with pytest.raises(BadRequest, match=f"up to {MAX_ATTACHMENTS}"):
        request_attachment(some * MAX_ATTACHMENTS, "Ines", "ines@example.org", "x")
