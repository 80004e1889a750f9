"""What planners, workers and reviewers do with edit jobs, and what they are refused."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.attachment import request_attachment
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EditState
from jobyard.domain.edits.upload import upload_digest
from jobyard.domain.edits.work import Priority
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    NotFound,
    QuotaExceeded,
)
from jobyard.services.edits import allocations, claims, proposals, reviews, settings, uploads
from jobyard.services.edits.access import id_of
from jobyard.services.edits.read_file import read_file
from jobyard.services.edits.uploads import UploadRefused, UploadRequest
from jobyard.services.queries import edits as queries
from jobyard.services.reports.commands import resend_refusal
from jobyard.store import edits, reports
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.domain.edits.edit_jobs import NOON
from tests.functions.api.api_client import Api
from tests.people import sub_of
from tests.services.edits.edit_records import (
    CHANGES,
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
    requested,
    user,
)
from tests.services.edits.requests_of import Requests
from web.report_rows import reports_address

BOX = parse_extent({"box": [-122.5, 37.4, -121.4, 37.9]})


@pytest.fixture
def people(api: Api) -> Requests:
    """Team north: anna and ben work, ben and zoe review."""
    a_team(
        "north",
        member("anna"),
        member("ben", reviewer=True),
        member("zoe", worker=False, reviewer=True),
    )
    a_dataset(
        border={}, checked={"quarantine": True}, look={"read_only": True}, quiet={"mails": False}
    )
    return Requests(api)


# ---- Planners


def test_a_planner_may_have_so_many_open_edit_jobs(people: Requests) -> None:
    proposal = proposals.Proposal("counties", BOX)
    limited = [people.planner(key=key) for key in ("first", "first", "second", "third")]
    quotas = replace(limited[0].settings.quotas, open_edits=2)
    limited = [replace(each, settings=replace(each.settings, quotas=quotas)) for each in limited]
    first, *_ = [proposals.propose(proposal, each) for each in limited[:3]]

    with pytest.raises(QuotaExceeded, match=r"2 edit jobs are open.*2 \(OpenEditJobsPerPerson\)"):
        proposals.propose(proposal, limited[3])
    proposals.delete(first.edit_id, people.planner())

    assert proposals.propose(proposal, limited[3]).state == "proposed"


def test_a_proposal_is_allocated_and_its_team_gets_one_mail(people: Requests) -> None:
    proposal = proposals.Proposal("counties", BOX, "Repair the border", "border")
    job = proposals.propose(proposal, people.planner(key="k"))
    again = proposals.propose(proposal, people.planner(key="k"))
    request = people.planner()

    allocated = allocations.allocate(job.edit_id, "north", "", request)
    allocations.allocate(job.edit_id, "north", "", request)  # the answer was lost

    assert again == job
    assert (allocated.state, allocated.version) == ("allocated", 2)
    assert people.mails(job.edit_id) == [
        (
            ("anna@example.org", "ben@example.org"),
            "Jobyard [test]: An edit job can be activated",
        )
    ]
    with pytest.raises(BadRequest, match="another body"):
        proposals.propose(
            replace(proposal, dataset="counties", extent=parse_extent({"features": ["1"]})),
            people.planner(key="k"),
        )


def test_a_notice_is_no_report_that_is_sent_again(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")
    allocations.release(job.edit_id, people.planner())

    (notice,) = reports.of_batch(job.edit_id)

    assert "about an edit job" in resend_refusal(notice)
    assert reports_address(notice.batch_id) == f"/edits/{job.edit_id}"


def test_only_a_complete_proposal_is_allocated_and_only_to_members(people: Requests) -> None:
    nameless = a_stored_job(name=" ", edit_type="")
    job = a_stored_job()

    with pytest.raises(InvalidTransition, match="has no name and no type"):
        allocations.allocate(nameless.edit_id, "north", "", people.planner())
    for name in ("south", ""):
        with pytest.raises(BadRequest, match=f"no team '{name}'"):
            allocations.allocate(job.edit_id, name, "", people.planner())
    with pytest.raises(BadRequest, match="'zoe' is no worker of team north"):
        allocations.allocate(job.edit_id, "north", "zoe", people.planner())
    unknown = a_stored_job(edit_type="nonsense")
    with pytest.raises(InvalidTransition, match="no type 'nonsense' of edit jobs; it has border"):
        allocations.allocate(unknown.edit_id, "north", "", people.planner())


def test_allocation_is_refused_where_nobody_could_review(people: Requests) -> None:
    a_team("north", member("anna"), member("ben", reviewer=True))
    job = a_stored_job(edit_type="checked")

    with pytest.raises(InvalidTransition, match=r"nobody could review .* an admin can add one"):
        allocations.allocate(job.edit_id, "north", "ben", people.planner())
    allocated = allocations.allocate(job.edit_id, "north", "", people.planner())
    assert allocated.state == "allocated"
    with pytest.raises(InvalidTransition, match="nobody could review"):
        claims.activate(job.edit_id, people.worker("ben"))  # the only one who could review
    assert claims.activate(job.edit_id, people.worker("anna")).state == "activated"


def test_the_planner_edits_while_a_worker_works_and_the_claim_stays(people: Requests) -> None:
    """Case 16."""
    job = a_stored_job("downloaded", "anna")

    edited = proposals.edit(
        job.edit_id,
        proposals.ProposalEdit({"name": "Another name", "planned_end": NOON}),
        people.planner(),
    )

    assert (edited.name, edited.state, edited.worker) == (
        "Another name",
        "downloaded",
        user("anna"),
    )
    with pytest.raises(InvalidTransition, match=r"extent .* only while it is proposed; .*revoke"):
        proposals.edit(job.edit_id, proposals.ProposalEdit({"extent": BOX}), people.planner())
    assert claims.download(job.edit_id, people.worker()).job.state == "downloaded"


def test_the_open_child_of_a_job_has_its_new_priority_and_times(people: Requests) -> None:
    child = a_stored_child(FailureType.VALIDATION, "downloaded", "anna")
    fields = {"priority": Priority.HIGH, "planned_end": NOON, "buffer": 1.0}

    proposals.edit(child.parent_id, proposals.ProposalEdit(fields), people.planner())

    after = edits.get_child(child.child_id)
    assert (after.priority, after.planned_end) == (Priority.HIGH, NOON)
    assert (after.state, after.worker, after.name) == ("downloaded", user("anna"), child.name)


def test_only_a_proposal_is_deleted_and_it_is_gone(people: Requests) -> None:
    job, busy = a_stored_job(), a_stored_job("allocated")

    proposals.delete(job.edit_id, people.planner())

    with pytest.raises(Gone, match="deleted by planner"):
        proposals.delete(job.edit_id, people.planner())
    with pytest.raises(InvalidTransition, match="cannot delete; you can edit, revoke, abandon"):
        proposals.delete(busy.edit_id, people.planner())


def test_a_revoked_job_is_a_proposal_and_its_worker_gets_the_reason(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna", workspace=CHANGES)

    revoked = allocations.revoke(job.edit_id, people.planner(reason="wrong area"))

    assert (revoked.state, revoked.worker, revoked.workspace) == ("proposed", None, None)
    assert revoked.attempt == 2
    assert people.mails(job.edit_id)[0][0] == ("anna@example.org",)
    assert "wrong area" in people.mail_text(job.edit_id)
    assert people.executions(job.edit_id) == ["clean_up-1"]
    with pytest.raises(BadRequest, match="needs a reason"):
        allocations.revoke(a_stored_job("allocated").edit_id, people.planner(reason=""))


@pytest.mark.parametrize("state", ["activated", "uploaded"])
def test_while_the_machine_works_a_planner_is_asked_to_try_again(
    state: str, people: Requests
) -> None:
    job = a_stored_job(state, "anna")

    for change in (allocations.revoke, allocations.abandon):
        with pytest.raises(InvalidTransition, match="the machine is working on it; try again"):
            change(job.edit_id, people.planner())


@pytest.mark.parametrize("state", ["committed", "published"])
def test_what_is_live_is_not_taken_back_later_either(state: str, people: Requests) -> None:
    job = a_stored_job(state, "anna")

    for change in (allocations.revoke, allocations.abandon):
        with pytest.raises(InvalidTransition, match=f"{state}: cannot .* changes are live, and an"):
            change(job.edit_id, people.planner())


def test_the_refusal_names_who_acts_next_if_the_actor_can_do_nothing(people: Requests) -> None:
    child = a_stored_child(FailureType.VALIDATION)
    expected = f"is invalid: cannot download; anna acts next: they repair .*{child.child_id}"

    with pytest.raises(InvalidTransition, match=expected):
        claims.download(child.parent_id, people.worker("anna"))
    asked = request_attachment((), "Ines", "ines@example.org", "the plan")
    asked = request_attachment(asked, "Ola", "ola@example.org", "the survey")
    blocked = a_stored_job("blocked", attachments=asked)
    with pytest.raises(InvalidTransition, match="is blocked: cannot activate; Ines, Ola act next"):
        claims.activate(blocked.edit_id, people.worker("anna"))
    ended = a_stored_job("completed", "anna")
    with pytest.raises(InvalidTransition, match="cannot download; there is nothing left to do"):
        claims.download(ended.edit_id, people.worker("anna"))


def test_an_idle_claim_is_shown_and_released_by_a_planner_only(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")
    later = timedelta(days=900)

    view = queries.edit_job(job.edit_id, people.query("planner", "planner", after=later))
    released = allocations.release(job.edit_id, people.planner())

    assert view.is_idle
    assert "release" in view.actions
    assert (released.state, released.worker, released.attempt) == ("allocated", None, 2)


def test_an_abandoned_job_takes_its_child_with_it_and_may_be_retried(people: Requests) -> None:
    child = a_stored_child(FailureType.VALIDATION, "activated", "anna")

    abandoned = allocations.abandon(child.parent_id, people.planner(reason="not needed"))
    retried = allocations.retry(child.parent_id, people.planner())

    assert abandoned.state == "abandoned"
    assert edits.get_child(child.child_id).state == "abandoned"
    assert (retried.state, retried.attempt, retried.actual_end) == ("allocated", 3, None)
    assert [each.state for each in edits.children_of(retried)] == ["abandoned"]
    with pytest.raises(InvalidTransition):
        claims.download(child.child_id, people.worker())


def test_archiving_many_has_an_outcome_for_each(people: Requests) -> None:
    done, busy = a_stored_job("completed", actual_end=NOON), a_stored_job("allocated")
    nothing = "e" + "a" * 20

    outcomes = allocations.archive_many([done.edit_id, busy.edit_id, nothing], people.planner())

    assert [each.edit_id for each in outcomes] == [done.edit_id, busy.edit_id, nothing]
    assert outcomes[0].refusal == ""
    assert "is allocated: cannot archive" in outcomes[1].refusal
    assert "no edit job" in outcomes[2].refusal
    context = people.query("planner", "planner")
    archived = queries.EditFilter("archived", dataset="counties")
    listed = queries.list_edits(context, archived, after="", limit=9)
    assert [each.job.name for each in listed.items] == [done.name]
    with pytest.raises(BadRequest, match="1 to 500"):
        allocations.archive_many([f"e{number:020}" for number in range(501)], people.planner())


def test_edit_jobs_of_all_datasets_are_listed_by_state_team_and_type(
    people: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_dataset("roads")
    times = [NOON + timedelta(minutes=number) for number in range(6)]
    a_stored_job("proposed", name="0", created_at=times[0])
    a_stored_job("allocated", name="1", created_at=times[1], edit_type="lakes")
    a_stored_job("allocated", name="2", created_at=times[2], dataset="roads", team="south")
    a_stored_job("completed", name="3", created_at=times[3], dataset="roads", actual_end=NOON)
    a_stored_job("abandoned", name="4", created_at=times[4], actual_end=NOON)
    a_stored_job("deleted", name="5", created_at=times[5])
    context = people.query("viewer", "viewer")

    def names(wanted: queries.EditFilter, limit: int = 9) -> list[str]:
        found, after = [], ""
        while True:
            page = queries.list_edits(context, wanted, after=after, limit=limit)
            found += [each.job.name for each in page.items]
            after = page.after
            if not after:
                return found

    assert names(queries.EditFilter(), limit=2) == names(queries.EditFilter()) == ["2", "1", "0"]
    assert names(queries.EditFilter("ended")) == ["4", "3"]
    assert names(queries.EditFilter(state=EditState.COMPLETED)) == ["3"]
    assert names(queries.EditFilter(dataset="roads")) == ["2"]
    monkeypatch.setattr(queries, "_READ_TOGETHER", 1)
    monkeypatch.setattr(queries, "_MAX_READ", 2)
    assert names(queries.EditFilter(team="north")) == ["1"]
    assert names(queries.EditFilter(edit_type="lakes", team="south")) == []
    first = queries.list_edits(context, queries.EditFilter(team="-"), after="", limit=9)
    assert (first.items, bool(first.after)) == ((), True)
    with pytest.raises(Forbidden, match="use the worklist"):
        queries.list_edits(people.query("w", "worker"), queries.EditFilter(), after="", limit=9)


def test_only_what_was_completed_long_ago_is_archived_in_bulk(people: Requests) -> None:
    now = people.api.tick()
    old = a_stored_job("completed", actual_end=now - timedelta(days=40))
    a_stored_job("completed", actual_end=now - timedelta(days=20))
    a_stored_job("abandoned", actual_end=now - timedelta(days=40))

    outcomes = allocations.archive_completed("counties", timedelta(days=30), people.planner())

    assert [each.edit_id for each in outcomes] == [old.edit_id]


# ---- Workers


def test_the_first_to_activate_wins_and_the_others_get_the_name(people: Requests) -> None:
    """Cases 20 and 22: one write claims and locks."""
    names = ["anna", "ben"]
    job = a_stored_job("allocated")
    winner = claims.activate(job.edit_id, people.worker(names[0]))
    refused = []
    for name in names[1:]:
        with pytest.raises(InvalidTransition) as error:
            claims.activate(job.edit_id, people.worker(name))
        refused.append(str(error.value))

    assert winner.worker == user(names[0])
    assert {each.partition(" has activated")[0] for each in refused} == {names[0]}
    assert people.executions(job.edit_id) == ["prepare-1"]


def test_a_repeated_activation_is_the_same_and_starts_what_the_first_did_not(
    people: Requests,
) -> None:
    job = a_stored_job("allocated")
    request = people.worker()

    first = claims.activate(job.edit_id, request)
    again = claims.activate(job.edit_id, request)

    assert again == first
    assert first.base_revision == 1
    assert [each.name for each in first.authors] == ["anna"]
    assert people.executions(job.edit_id) == ["prepare-1"]


def test_a_job_that_is_for_one_person_is_for_nobody_else(people: Requests) -> None:
    job = a_stored_job("allocated", assignee=user("ben"))

    with pytest.raises(Forbidden, match="allocated to ben"):
        claims.activate(job.edit_id, people.worker("anna"))
    given_back = claims.relinquish(
        a_stored_job("downloaded", "ben", assignee=user("ben")).edit_id, people.worker("ben")
    )
    assert (given_back.state, given_back.assignee, given_back.worker) == ("allocated", None, None)


def test_who_left_the_team_can_do_nothing_more(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")
    a_team("north", member("ben"))

    with pytest.raises(Forbidden, match="you are no worker of team 'north'"):
        claims.download(job.edit_id, people.worker("anna"))
    with pytest.raises(NotFound):
        claims.activate(a_stored_job("allocated").edit_id, people.worker("anna"))


def test_an_admin_does_not_do_the_work_of_others(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")

    with pytest.raises(Forbidden, match="only a worker may relinquish an edit"):
        claims.relinquish(job.edit_id, people.by("admin", "admin"))
    with pytest.raises(Forbidden, match="anna has it"):
        claims.relinquish(job.edit_id, people.worker("ben"))


def test_a_link_to_the_package_is_given_to_its_worker_and_each_is_logged(people: Requests) -> None:
    job = a_stored_job("prepared", "anna")

    first = claims.download(job.edit_id, people.worker())
    second = claims.download(job.edit_id, people.worker())

    assert first.filename == f"{job.edit_id}.1.1.zip"
    assert job.package is not None
    assert job.package.key in second.url
    assert [each.event for each in second.job.history[1:]] == ["download", "download"]
    with pytest.raises(InvalidTransition, match="cannot download"):
        claims.download(a_stored_job("allocated").edit_id, people.worker())


def test_what_is_only_looked_at_is_finished_and_everything_else_is_uploaded(
    people: Requests,
) -> None:
    looked = claims.finish(
        a_stored_job("downloaded", "anna", edit_type="look").edit_id, people.worker()
    )
    assert (looked.state, looked.actual_end is not None) == ("completed", True)
    assert people.executions(looked.edit_id) == ["clean_up-1"]
    with pytest.raises(InvalidTransition, match="end with an upload"):
        claims.finish(a_stored_job("downloaded", "anna").edit_id, people.worker())


@pytest.mark.parametrize("state", ["completed", "abandoned", "failed", "archived", "quarantined"])
def test_what_has_ended_or_waits_is_not_activated_or_edited(state: str, people: Requests) -> None:
    """Cases 15 and 21."""
    job = a_stored_job(state, "anna")

    with pytest.raises(InvalidTransition):
        claims.activate(job.edit_id, people.worker("anna"))
    if state != "quarantined":
        with pytest.raises(InvalidTransition, match=f"is {state}: cannot edit"):
            proposals.edit(job.edit_id, proposals.ProposalEdit({"name": "x"}), people.planner())


# ---- Uploads


def sent(job: Any, name: str = "anna", **fields: Any) -> UploadRequest:
    """The confirmation of an upload that answers a job's package."""
    job_id = getattr(job, "edit_id", None) or job.child_id
    given = {
        "key": f"edits/{job_id}/uploads/{job.attempt}/{sub_of(name)}/r/edits.geojson",
        "attempt": job.attempt,
        "package_id": job.package.package_id,
        "digest": "d" * 64,
    }
    return UploadRequest(**{**given, **fields})


def test_an_upload_after_a_revocation_is_refused_and_kept(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")
    request = sent(job)
    allocations.revoke(job.edit_id, people.planner(reason="wrong area"))

    key, _ = uploads.upload_form(job.edit_id, 1, "edits.geojson", people.worker())
    with pytest.raises(UploadRefused, match=r"revoke by planner \(wrong area\).* kept until"):
        uploads.upload(job.edit_id, request, people.worker())

    assert key.startswith(f"edits/{job.edit_id}/uploads/1/{sub_of('anna')}/")
    allocations.allocate(job.edit_id, "north", "ben", people.planner())
    claims.activate(job.edit_id, people.worker("ben"))
    with pytest.raises(UploadRefused, match="ben has it now"):
        uploads.upload(job.edit_id, request, people.worker())


def test_the_old_worker_is_refused_with_the_name_of_the_new_one(people: Requests) -> None:
    """Case 19."""
    job = a_stored_job("downloaded", "ben")

    with pytest.raises(Forbidden, match="ben has it: only they may upload it"):
        uploads.upload(job.edit_id, sent(job, "anna"), people.worker("anna"))


def test_who_never_had_a_job_gets_no_form_and_learns_who_has_it(people: Requests) -> None:
    taken, free = a_stored_job("downloaded", "ben"), a_stored_job("allocated")

    with pytest.raises(Forbidden, match="is downloaded, and ben has it: only they may upload it"):
        uploads.upload_form(taken.edit_id, 1, "edits.geojson", people.worker("anna"))
    with pytest.raises(InvalidTransition, match="is allocated: cannot upload; you can activate"):
        uploads.upload_form(free.edit_id, 1, "edits.geojson", people.worker("anna"))


def test_an_upload_for_another_job_is_refused_with_both_names(people: Requests) -> None:
    """Case 13."""
    job, other = a_stored_job("downloaded", "anna"), a_stored_job("downloaded", "anna")

    wrong = sent(job, package_id=sent(other).package_id)
    with pytest.raises(BadRequest, match=f"{other.edit_id}, and not for {job.edit_id}"):
        uploads.upload(job.edit_id, wrong, people.worker())
    with pytest.raises(BadRequest, match=f"uploaded for {other.edit_id}, not for {job.edit_id}"):
        uploads.upload(job.edit_id, sent(job, key=sent(other).key), people.worker())


def test_the_same_upload_again_is_ignored(people: Requests) -> None:
    """Cases 10 and 12."""
    job = a_stored_job("uploaded", "anna", checks=1)
    request = sent(job)
    source = upload_digest(job.edit_id, 1, request.package_id, request.digest)
    stored = replace(job, version=2, workspace=replace(CHANGES, source=source))
    edits.write(job, stored)

    done = uploads.upload(job.edit_id, request, people.worker())

    assert done == stored
    assert people.executions(job.edit_id) == ["check-1-1"]


def test_a_file_that_is_not_what_was_sent_changes_nothing(people: Requests) -> None:
    """Case 14."""
    job = a_stored_job("downloaded", "anna")
    request = sent(job)

    with pytest.raises(BadRequest, match="no file was uploaded"):
        uploads.upload(job.edit_id, request, people.worker())
    people.put_file(request.key, b"{")
    uploads.upload(job.edit_id, request, people.worker())
    done = read_file(job.edit_id, people.machine())
    assert done
    assert (done.state, done.workspace) == ("downloaded", None)  # type: ignore[union-attr]
    assert "the stored file has the SHA-256" in done.problem


# ---- Reviewers


def test_an_approval_is_bound_to_what_was_seen(people: Requests) -> None:
    """Case 18."""
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe")

    approved = reviews.approve(review.child_id, "fine", people.reviewer())

    job = edits.get(review.parent_id)
    assert (approved.state, job.state, job.open_child) == ("approved", "uploaded", "")
    assert job.approval is not None
    assert (job.approval.digest, job.approval.reviewer) == (CHANGES.digest, "zoe")
    assert people.executions(job.edit_id) == [f"check-1-{job.checks}"]

    changed = a_stored_child(
        FailureType.QUARANTINE_REVIEW,
        "downloaded",
        "zoe",
        subject=replace(CHANGES, digest="e" * 64),
    )
    with pytest.raises(InvalidTransition, match="reviewed again"):
        reviews.approve(changed.child_id, "fine", people.reviewer())


@pytest.mark.parametrize("roles", [("reviewer",), ("reviewer", "admin", "worker")])
def test_no_author_reviews_whatever_their_roles(roles: tuple[str, ...], people: Requests) -> None:
    """Case 17."""
    review = a_stored_child(FailureType.QUARANTINE_REVIEW)
    a_team("north", member("anna", reviewer=True), member("zoe", reviewer=True))

    with pytest.raises(Forbidden, match="you had a part in the changes"):
        claims.activate(review.child_id, people.by("anna", *roles))
    with pytest.raises(BadRequest, match="anna had a part"):
        allocations.allocate_child(review.child_id, "anna", people.planner())
    assert claims.activate(review.child_id, people.reviewer()).state == "activated"


def test_who_had_the_package_before_a_revocation_does_not_review(people: Requests) -> None:
    """Their edits may be uploaded again by the next worker, who got them from a planner."""
    job = a_stored_job("downloaded", "ben", edit_type="checked", quarantine=True)
    a_team("north", member("anna"), member("ben", reviewer=True))

    allocations.revoke(job.edit_id, people.planner())

    revoked = edits.get(job.edit_id)
    assert (revoked.authors, revoked.former_authors) == ((), (user("ben"),))
    with pytest.raises(InvalidTransition, match="nobody could review"):
        allocations.allocate(job.edit_id, "north", "anna", people.planner())
    review = a_stored_child(FailureType.QUARANTINE_REVIEW)
    parent = edits.get(review.parent_id)
    edits.write(parent, replace(parent, version=9, former_authors=(user("ben"),)))
    with pytest.raises(Forbidden, match="you had a part in the changes"):
        claims.activate(review.child_id, people.reviewer("ben"))


def test_an_author_by_a_later_fixup_cannot_end_a_review_that_was_theirs(people: Requests) -> None:
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe")
    job = edits.get(review.parent_id)
    edits.write(job, replace(job, version=job.version + 1, authors=job.with_author(user("zoe"))))

    with pytest.raises(Forbidden, match="you had a part"):
        reviews.approve(review.child_id, "fine", people.reviewer())


def test_required_corrections_are_a_fixup_for_the_worker(people: Requests) -> None:
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe", edits=CHANGES)

    reviews.require_corrections(review.child_id, "the name is wrong", people.reviewer())

    job = edits.get(review.parent_id)
    assert (job.state, job.approval) == ("quarantined", None)
    assert [each.name for each in job.authors] == ["anna", "zoe"]  # the reviewer has edited
    fixup = edits.get_child(job.open_child)
    assert fixup.failure_type is FailureType.QUARANTINE_CORRECTIONS
    assert (fixup.state, fixup.worker, fixup.team) == ("allocated", user("anna"), "north")
    assert fixup.title.endswith("QUARANTINE_CORRECTIONS 1")
    assert people.mails(job.edit_id)[-1][0] == ("anna@example.org",)
    assert "the name is wrong" in people.mail_text(job.edit_id)
    with pytest.raises(BadRequest, match="needs a comment"):
        reviews.discard(review.child_id, " ", people.reviewer())


def test_no_decision_loses_what_a_reviewer_uploaded(people: Requests) -> None:
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe", edits=CHANGES)
    embargo = a_stored_child(FailureType.EMBARGO_REVIEW, "downloaded", "zoe")

    for decide in (reviews.approve, reviews.discard):
        with pytest.raises(InvalidTransition, match="would be lost: require corrections, or rel"):
            decide(review.child_id, "fine", people.reviewer())
    with pytest.raises(InvalidTransition, match="is not edited: approve or discard"):
        uploads.upload(embargo.child_id, sent(embargo, "zoe"), people.reviewer())

    view = queries.edit_job(review.child_id, people.query("zoe", "reviewer"))
    of_embargo = queries.edit_job(embargo.child_id, people.query("zoe", "reviewer"))
    assert {"approve", "discard"}.isdisjoint(view.actions)
    assert "require_corrections" in view.actions
    assert {"upload", "require_corrections"}.isdisjoint(of_embargo.actions)
    claims.relinquish(review.child_id, people.reviewer())
    assert edits.get_child(review.child_id).edits is None


def test_discarded_changes_are_kept_and_a_discarded_package_ends_its_job(people: Requests) -> None:
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe")
    embargo = a_stored_child(FailureType.EMBARGO_REVIEW, "downloaded", "zoe")

    reviews.discard(review.child_id, "all wrong", people.reviewer())
    with pytest.raises(InvalidTransition, match="approve or discard"):
        reviews.require_corrections(embargo.child_id, "no", people.reviewer())
    reviews.discard(embargo.child_id, "secret", people.reviewer())

    kept, ended = edits.get(review.parent_id), edits.get(embargo.parent_id)
    assert (kept.state, kept.is_discarded, kept.workspace) == ("quarantined", True, CHANGES)
    assert kept.needs_machine
    assert people.executions(kept.edit_id) == [f"prepare-1-{kept.checks}"]
    assert (ended.state, ended.workspace, ended.attempt) == ("abandoned", None, 2)


def test_a_released_package_is_ready_for_its_worker(people: Requests) -> None:
    embargo = a_stored_child(FailureType.EMBARGO_REVIEW, "downloaded", "zoe")

    reviews.approve(embargo.child_id, "", people.reviewer())

    job = edits.get(embargo.parent_id)
    assert (job.state, job.approval, job.open_child) == ("prepared", None, "")


def test_a_fixup_is_given_to_another_worker_by_a_planner_only(people: Requests) -> None:
    fixup = a_stored_child(FailureType.VALIDATION, "allocated", worker="anna")

    with pytest.raises(Forbidden, match="is for anna; a planner may"):
        claims.activate(fixup.child_id, people.worker("ben"))
    given = allocations.allocate_child(fixup.child_id, "ben", people.planner())
    assert (given.worker, given.attempt) == (user("ben"), 2)
    assert claims.activate(fixup.child_id, people.worker("ben")).state == "activated"


# ---- The worklist


def test_the_worklist_has_what_one_may_do_and_what_one_has(people: Requests) -> None:
    free = a_stored_job("allocated")
    mine = a_stored_job("downloaded", "anna")
    others = a_stored_job("downloaded", "ben")
    review = a_stored_child(FailureType.QUARANTINE_REVIEW)

    def columns(name: str, role: str, **fields: Any) -> dict[str, set[str]]:
        found = queries.worklist(people.query(name, role), **fields)
        ids = {
            each.column.value: {
                getattr(view.job, "edit_id", "") or view.job.child_id for view in each.items
            }
            for each in found
        }
        return {column: each for column, each in ids.items() if each}

    assert columns("anna", "worker")["allocated"] == {free.edit_id}
    assert columns("anna", "worker")["downloaded"] == {mine.edit_id}
    assert columns("zoe", "reviewer")["reviews"] == {review.child_id}
    assert columns("planner", "planner", team="north")["downloaded"] == {
        mine.edit_id,
        others.edit_id,
    }
    assert "allocated" not in columns("stranger", "worker")
    with pytest.raises(Forbidden, match="not of team 'north'"):
        columns("stranger", "worker", team="north")
    with pytest.raises(Forbidden):
        columns("viewer", "viewer")


class TeamReads(Listener):
    """Counts the reads of teams."""

    def __init__(self) -> None:
        self.count = 0

    def prepare(self, call: Call) -> None:
        self.count += call.parameters.get("TableName", "").endswith("teams")


def test_a_worklist_reads_a_team_as_often_for_many_jobs_as_for_one(
    people: Requests, aws_semantics: CallInterceptor
) -> None:
    counts = []
    for _ in range(3):
        a_stored_job("allocated")
        reads = TeamReads()
        with aws_semantics.listening(reads):
            queries.worklist(people.query("anna", "worker"))
        counts.append(reads.count)

    assert counts == [2, 2, 2]  # the names of anna's teams, and whether she still is of one


def test_a_column_is_read_in_pages_in_the_order_of_its_places(people: Requests) -> None:
    jobs = [a_stored_job("allocated", planned_end=NOON + timedelta(days=day)) for day in range(5)]
    shown: list[str] = []
    after = ""
    for _ in range(3):
        page = queries.worklist_column(
            queries.WorklistColumn.ALLOCATED,
            people.query("anna", "worker"),
            team="",
            after=after,
            limit=2,
        )
        shown += [each.job.edit_id for each in page.items if each.job.name]
        after = page.after

    assert (shown, after) == ([each.edit_id for each in jobs], "")


def test_a_view_says_what_one_may_do_and_why_not_the_rest(people: Requests) -> None:
    job = a_stored_job("downloaded", "anna")

    own = queries.edit_job(job.edit_id, people.query("anna", "worker"))
    other = queries.edit_job(job.edit_id, people.query("ben", "worker"))

    assert own.actions == ("download", "upload", "relinquish")  # its type is not only looked at
    assert other.actions == ()
    reasons = {each.event: each.reason for each in other.unavailable}
    assert reasons["upload"] == "anna has it"
    assert reasons["revoke"].startswith("only a planner or an admin may revoke")


def test_the_process_log_has_all_moves_of_a_job_and_its_children(people: Requests) -> None:
    child = a_stored_child(FailureType.VALIDATION)
    claims.activate(child.child_id, people.worker())
    allocations.abandon(child.parent_id, people.planner())

    log = queries.process_log(child.parent_id, people.query("admin", "admin"))

    acts = [(job_id[0], each.event) for job_id, each in log.entries if each.actor != "anna"]
    assert acts == [("e", "abandon"), ("x", "abandon")]
    assert len(log.entries) == 4


def test_what_the_machine_works_on_for_too_long_is_listed_for_admins(people: Requests) -> None:
    job = a_stored_job("uploaded", "anna")
    a_stored_job("downloaded", "anna")
    child = a_stored_child(FailureType.VALIDATION, "activated")
    wanted = queries.EditFilter(queries.STUCK)

    context = people.query("admin", "admin", after=timedelta(days=900))
    found = queries.list_edits(context, wanted, after="", limit=50).items

    assert {id_of(each.job) for each in found} == {job.edit_id, child.child_id}
    assert all(each.is_stuck for each in found)
    with pytest.raises(Forbidden):
        queries.list_edits(people.query("paul", "planner"), wanted, after="", limit=50)


def test_without_mails_only_custodians_get_one(people: Requests) -> None:
    job = a_stored_job(edit_type="quiet")
    asked = a_stored_job(edit_type="quiet", attachments=requested())

    allocations.allocate(job.edit_id, "north", "", people.planner())
    allocations.allocate(asked.edit_id, "north", "", people.planner())

    assert people.mails(job.edit_id) == []
    assert [to for to, _ in people.mails(asked.edit_id)] == [("ines@example.org",)]


@pytest.mark.parametrize("hostile", [" ", "bor\u202eder", "bor\nder", "é" * 100, "\ud800"])
def test_a_type_has_a_name_that_can_be_shown(hostile: str, people: Requests) -> None:
    with pytest.raises(BadRequest, match="can be shown"):
        settings.put_settings("counties", hostile, {}, people.by("admin", "admin"))
