"""Custodians answer by their link, without an account; the last answer frees the edit job."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.edits.attachment import LINK_TIME
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound, QuotaExceeded
from jobyard.services.edits import allocations, attachments, proposals
from jobyard.store import edits
from tests.functions.api.api_client import Api
from tests.services.edits.edit_records import a_dataset, a_stored_job, a_team, member
from tests.services.edits.requests_of import Requests


@pytest.fixture
def people(api: Api) -> Requests:
    a_team("north", member("anna"))
    a_dataset(border={})
    return Requests(api)


def a_blocked_job(people: Requests, *custodians: str) -> EditJob:
    """An edit job that waits for attachments of people with these names."""
    job = a_stored_job()
    for name in custodians:
        attachments.request(
            job.edit_id, name, f"{name}@example.org", f"survey of {name}", people.planner()
        )
    return allocations.allocate(job.edit_id, "north", "", people.planner())


def link(people: Requests, job: EditJob, index: int = -1) -> str:
    """The token in a mail to a custodian."""
    text = people.mail_text(job.edit_id, index)
    return text.partition("/attachments/")[2].split()[0]


def stranger(people: Requests) -> Any:
    """A request by nobody in particular."""
    return people.by("", reason="")


def test_a_job_with_requests_is_blocked_until_each_is_answered(people: Requests) -> None:
    job = a_blocked_job(people, "ines", "jon")
    assert job.state == "blocked"
    assert [to for to, _ in people.mails(job.edit_id)] == [
        *(("ines@example.org",), ("jon@example.org",)),
    ]

    first, second = link(people, job, 0), link(people, job, 1)
    key, _ = attachments.form_by_link(first, "../survey.pdf", stranger(people))
    people.put_file(key, b"survey")
    answered = attachments.upload_by_link(first, key, stranger(people))
    freed = attachments.decline_by_link(second, "I have none", stranger(people))

    assert answered.state == "blocked"
    assert (freed.state, [each.state for each in freed.attachments]) == (
        "allocated",
        ["uploaded", "declined"],
    )
    one, other = freed.attachments
    assert (one.filename, one.size, one.answered_by) == ("survey.pdf", 6, "ines")
    assert one.key.startswith(f"edits/{job.edit_id}/attachments/1-")
    assert other.reason == "I have none"
    assert freed.history[-1].actor == "jon"
    assert people.mails(job.edit_id)[-1][0] == ("anna@example.org",)


def test_a_file_that_is_uploaded_again_meanwhile_does_not_replace_what_was_read(
    people: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_blocked_job(people, "ines")
    token, request = link(people, job), stranger(people)
    key, _ = attachments.form_by_link(token, "survey.pdf", request)
    people.put_file(key, b"survey")
    copy = request.s3.copy_object

    def copy_late(**parameters: Any) -> Any:
        people.put_file(key, b"another")
        return copy(**parameters)

    monkeypatch.setattr(request.s3, "copy_object", copy_late)
    (answer,) = attachments.upload_by_link(token, key, request).attachments

    stored = request.s3.get_object(Bucket=request.settings.work_bucket, Key=answer.key)
    assert stored["Body"].read() == b"survey"


def test_a_link_is_for_one_attachment_and_used_once(people: Requests) -> None:
    job = a_blocked_job(people, "ines", "jon")
    token = link(people, job, 0)
    found = attachments.requested_by_link(token, stranger(people))
    key, _ = attachments.form_by_link(link(people, job, 1), "x", stranger(people))
    people.put_file(key, b"x")

    assert (found.attachment.custodian, found.job.edit_id) == ("ines", job.edit_id)
    with pytest.raises(BadRequest, match="not a key that a form for this attachment has"):
        attachments.upload_by_link(token, key, stranger(people))
    attachments.decline_by_link(token, "", stranger(people))
    with pytest.raises(InvalidTransition, match="declined, by ines"):
        attachments.decline_by_link(token, "", stranger(people))
    for wrong in ("", "x" * 40, token[:-1] + ("A" if token[-1] != "A" else "B")):
        with pytest.raises(NotFound):
            attachments.requested_by_link(wrong, stranger(people))


def test_a_link_that_is_sent_again_replaces_the_one_before(people: Requests) -> None:
    job = a_blocked_job(people, "ines")
    old = link(people, job)

    attachments.resend(job.edit_id, 1, people.planner())

    with pytest.raises(InvalidTransition, match="newer mail"):
        attachments.requested_by_link(old, stranger(people))
    assert attachments.requested_by_link(link(people, job), stranger(people)).attachment.sends == 2


def test_mails_to_custodians_count_for_the_planner_who_sends_them(people: Requests) -> None:
    job = a_blocked_job(people, "ines", "jon")
    request = people.planner()
    limits = replace(request.settings.quotas, daily_mails=3)
    allowed = replace(request, settings=replace(request.settings, quotas=limits))
    attachments.resend(job.edit_id, 1, allowed)
    attachments.resend(job.edit_id, 1, allowed)  # a repeat

    with pytest.raises(QuotaExceeded, match=r"3 are used today .* \(DailyMailsPerPerson\)"):
        attachments.resend(job.edit_id, 1, replace(allowed, key="another"))

    assert len(people.mails(job.edit_id)) == 3
    attachments.resend(
        job.edit_id, 1, replace(people.by("pia", "planner"), settings=allowed.settings)
    )


def test_a_link_expires_after_two_weeks(people: Requests) -> None:
    job = a_blocked_job(people, "ines")
    token = link(people, job)
    later = stranger(people)
    moment = later.now() + LINK_TIME + timedelta(hours=1)
    object.__setattr__(later, "now", lambda: moment)

    with pytest.raises(InvalidTransition, match="expired: ask the planner"):
        attachments.requested_by_link(token, later)


def test_a_planner_answers_for_a_custodian(people: Requests) -> None:
    job = a_blocked_job(people, "ines")
    key, _ = attachments.answer_form(job.edit_id, 1, "scan.tif", people.planner())
    people.put_file(key, b"scan")
    request = people.planner()

    freed = attachments.answer(job.edit_id, 1, key, request)
    again = attachments.answer(job.edit_id, 1, key, request)

    assert freed == again == edits.get(job.edit_id)
    assert (freed.state, freed.attachments[0].answered_by) == ("allocated", "planner")


def test_an_answer_counts_when_the_type_of_the_job_is_gone(people: Requests) -> None:
    job = a_blocked_job(people, "ines")
    a_dataset(roads={})

    freed = attachments.decline_by_link(link(people, job), "I have none", stranger(people))

    assert freed.state == "allocated"
    assert people.mails(job.edit_id)[-1][0] == ("anna@example.org",)


def test_attachments_are_requested_while_a_job_is_proposed(people: Requests) -> None:
    job = a_blocked_job(people)
    assert job.state == "allocated"

    with pytest.raises(InvalidTransition, match=r"while an edit job is proposed; .* revoke it"):
        attachments.request(job.edit_id, "Ines", "ines@example.org", "x", people.planner())
    with pytest.raises(NotFound, match="no attachment 7"):
        attachments.resend(job.edit_id, 7, people.planner())


def test_what_cannot_be_revoked_is_copied_to_change_what_only_a_proposal_may(
    people: Requests,
) -> None:
    blocked = a_stored_job("blocked")
    changes = proposals.ProposalEdit({"quarantine": True})

    with pytest.raises(InvalidTransition, match="is blocked: copy it, as a new proposal"):
        attachments.request(blocked.edit_id, "Ines", "ines@example.org", "x", people.planner())
    with pytest.raises(InvalidTransition, match="is blocked: copy it, as a new proposal"):
        proposals.edit(blocked.edit_id, changes, people.planner())


def test_only_custodians_in_the_mail_domains_may_be_named(people: Requests) -> None:
    job, stranger = a_stored_job(), proposals.AttachmentRequest("Eve", "eve@example.com", "x")
    only = "eve@example.com: this deployment sends mail to example.org only"

    with pytest.raises(BadRequest, match=only):
        attachments.request(job.edit_id, "Eve", stranger.email, "x", people.planner())
    with pytest.raises(BadRequest, match=only):
        proposals.propose(
            proposals.Proposal("counties", job.extent, attachments=(stranger,)), people.planner()
        )
    assert edits.get(job.edit_id).attachments == ()
