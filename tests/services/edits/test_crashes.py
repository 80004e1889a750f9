"""A request that dies at any of its calls, and is sent again, does what it does without that: one
move, one mail, one execution. And of many who activate one job at the same time, one has it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest

from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.team import MAX_MEMBERS
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.services.context import Actor, CommandContext
from jobyard.services.edits import allocations, attachments, claims, reviews, uploads
from jobyard.services.machines.edit import EditStep, EditTask, run_prepare
from jobyard.services.queries import edit_details
from jobyard.store import edits, reports, teams
from tests.domain.edits.edit_jobs import NOON
from tests.harness import Harness
from tests.people import sub_of
from tests.services.datasets.crashes import Died, DyingAt
from tests.services.edits.edit_records import (
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
    requested,
)

pytestmark = pytest.mark.emulator
Act = Callable[[str, CommandContext], Any]
MANY = 200


def a_review() -> str:
    return a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe").child_id


def upload(job_id: str, body: bytes, context: CommandContext) -> None:
    """Send a file and confirm it."""
    name = f"{context.actor.sub}/r/edits.geojson"
    sent = uploads.UploadRequest(
        f"edits/{job_id}/uploads/1/{name}", 1, f"{job_id}.1.1", sha256(body).hexdigest()
    )
    context.s3.put_object(Bucket=context.settings.intake_bucket, Key=sent.key, Body=body)
    uploads.upload(job_id, sent, context)


# What is done: the person and their role, what makes the job, and the service.
ACTS: dict[str, tuple[str, str, Callable[[], str], Act]] = {
    "allocate": (
        "planner",
        "planner",
        lambda: a_stored_job().edit_id,
        lambda job_id, context: allocations.allocate(job_id, "north", "", context),
    ),
    "block": (
        "planner",
        "planner",
        lambda: a_stored_job(attachments=requested()).edit_id,
        lambda job_id, context: allocations.allocate(job_id, "north", "", context),
    ),
    "answer": (
        "planner",
        "planner",
        lambda: a_stored_job("blocked", attachments=requested(sends=1)).edit_id,
        lambda job_id, context: attachments.answer(job_id, 1, "", context),
    ),
    "activate": ("anna", "worker", lambda: a_stored_job("allocated").edit_id, claims.activate),
    "upload": (
        "anna",
        "worker",
        lambda: a_stored_job("downloaded", "anna").edit_id,
        lambda job_id, context: upload(job_id, b"{}", context),
    ),
    "relinquish": (
        "anna",
        "worker",
        lambda: a_stored_job("downloaded", "anna").edit_id,
        claims.relinquish,
    ),
    "revoke": (
        "planner",
        "planner",
        lambda: a_stored_job("downloaded", "anna").edit_id,
        allocations.revoke,
    ),
    "abandon": (
        "planner",
        "planner",
        lambda: a_stored_child(FailureType.VALIDATION, "downloaded", "anna").parent_id,
        allocations.abandon,
    ),
    "require_corrections": (
        "zoe",
        "reviewer",
        a_review,
        lambda job_id, context: reviews.require_corrections(job_id, "no", context),
    ),
    "approve": (
        "zoe",
        "reviewer",
        a_review,
        lambda job_id, context: reviews.approve(job_id, "yes", context),
    ),
}


@pytest.fixture(autouse=True)
def people(harness: Harness) -> None:
    with harness.interceptor.muted():
        if teams.find("north") is None:
            a_team("north", member("anna"), member("zoe", worker=False, reviewer=True))
            a_dataset(border={})


def outcome(job_id: str, harness: Harness) -> dict[str, Any]:
    """What became of a job: its moves and those of its relatives, mails, and executions."""
    job = edits.find(job_id)
    assert job is not None
    parent = edits.get(getattr(job, "parent_id", "") or job_id)
    children = edits.children_of(parent)
    ids = [parent.edit_id, *(each.child_id for each in children)]
    return {
        "states": [parent.state, *(each.state for each in children)],
        "moves": [len(each.history) for each in (parent, *children)],
        "mails": [each.to for each_id in ids for each in reports.of_batch(each_id)],
        "executions": sorted(
            name.removeprefix(each)
            for name in harness.machines.executions
            for each in ids
            if name.startswith(each)
        ),
    }


@pytest.mark.turns(4)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_a_request_that_died_and_is_sent_again_is_done_once(
    act: str, is_sent: bool, harness: Harness
) -> None:
    name, role, make, send = ACTS[act]
    person = Actor(sub_of(name), name, frozenset({role}))
    expected = make()
    send(expected, harness.context(person))
    wanted = outcome(expected, harness)

    calls: list[str] = []
    for number in range(99):
        job_id = make()
        dying = DyingAt(number, is_sent=is_sent)
        context = harness.context(person)
        with harness.interceptor.listening(dying), suppress(Died):
            send(job_id, context)

        send(job_id, context)

        assert outcome(job_id, harness) == wanted, dying.calls[-1]
        calls = dying.calls
        if len(calls) <= number:
            break

    assert "TransactWriteItems" in calls or "PutItem" in calls
    assert number > 2


@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_a_file_is_refused_once_whenever_its_reader_dies(is_sent: bool, harness: Harness) -> None:
    """A file that is accepted is read in tests/scenarios/test_edit_crashes.py."""
    person = Actor(sub_of("anna"), "anna", frozenset({"worker"}))
    for number in range(99):
        job_id = a_stored_job("downloaded", "anna").edit_id
        upload(job_id, b"not JSON", harness.context(person))
        step = EditStep(EditTask.READ, job_id, "1-2")
        dying = DyingAt(number, is_sent=is_sent)
        with harness.interceptor.listening(dying), suppress(Died):
            run_prepare(step, harness.edit_context(step), lambda: 60.0)

        after = run_prepare(step, harness.edit_context(step), lambda: 60.0)

        job = edits.get(job_id)
        assert (after.task, job.state) == (EditTask.END, "downloaded")
        assert [each.event for each in job.history] == ["activate", "upload", "refuse"]
        report = edit_details.upload_report(job, harness.query_context(person))
        assert report
        assert [each.code for each in report.findings] == ["GEOJSON_BAD"]
        if len(dying.calls) <= number:
            break
    assert number > 3


def test_two_hundred_activate_one_job_at_once_and_one_has_it(harness: Harness) -> None:
    """Case 20. The others get the name of the one who was first. A team has fewer members, so that
    most try more than once.
    """
    in_team = [f"worker-{number:02}" for number in range(MAX_MEMBERS)]
    a_team("crowd", *map(member, in_team))
    job = a_stored_job("allocated", team="crowd", planned_end=NOON)

    def activate(number: int) -> tuple[str, str]:
        name = in_team[number % len(in_team)]
        actor = Actor(sub_of(name), name, frozenset({"worker"}))
        try:
            claims.activate(job.edit_id, harness.context(actor, key=f"{name} {number}"))
        except (InvalidTransition, StaleState) as refusal:
            return name, str(refusal)
        return name, ""

    with ThreadPoolExecutor(32) as pool:
        answers = [*pool.map(activate, range(MANY))]

    stored = edits.get(job.edit_id)
    assert stored.worker is not None
    winners = [name for name, refusal in answers if not refusal]
    assert winners == [stored.worker.name]
    others = [text for name, text in answers if text and name != stored.worker.name]
    assert all(f"{stored.worker.name} has activated" in text for text in others)
    assert [each.event for each in stored.history] == ["activate"]
