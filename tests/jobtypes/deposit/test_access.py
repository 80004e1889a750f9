"""A job checks access before it identifies its object, and before each write."""

from dataclasses import replace

import pytest

from jobyard.domain.collection import Collection, Depositor
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail, StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.deposit.identity import mint
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import drive, file_entry, held, step_input
from tests.jobtypes.payload_server import PayloadServer
from tests.open_collections import an_open_collection

STEPS = dict(DEPOSIT.steps)
NAMES = [name for name, _ in DEPOSIT.steps]
OPEN = an_open_collection("maps")
CLOSED = replace(OPEN, accepts_drops=False, groups=frozenset())


def of(context: StorageContext, collection: Collection | None) -> StorageContext:
    return replace(context, collection=lambda: collection)


def until(step: str, job: StepInput, context: StorageContext) -> StepInput:
    """The job before `step`, with all previous steps done."""
    for name in NAMES[: NAMES.index(step)]:
        outcome = STEPS[name](job, context)
        if isinstance(outcome, Done):
            job = replace(job, data={**job.data, **outcome.result})
    return job


@pytest.mark.parametrize("step", ["processing", "storing", "recording"])
@pytest.mark.parametrize("now", [None, CLOSED])
def test_each_step_that_writes_checks_access_again(
    context: StorageContext, payloads: PayloadServer, step: str, now: Collection | None
) -> None:
    """So a requeue that continues after the object was identified does not bypass it."""
    job = until(
        step, step_input(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), context
    )

    outcome = STEPS[step](job, of(context, now))

    assert isinstance(outcome, Fail)
    assert outcome.code is Failure.DEPOSIT_NOT_ALLOWED
    assert (outcome.retryable, outcome.requeueable) == (False, True)
    assert "jobyard collection" in outcome.message
    assert context.objects.latest("ark:/1/a") is None
    assert isinstance(STEPS[step](job, context), Done)  # with the right, a requeue continues


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (Depositor("id-bo"), True),
        (Depositor("id-cy", frozenset({"curators"})), True),
        (Depositor("id-cy"), False),
        (Depositor(), False),
    ],
)
def test_the_right_is_that_of_who_submitted_it(
    context: StorageContext, payloads: PayloadServer, who: Depositor, may: bool
) -> None:
    collection = replace(CLOSED, people={"id-bo": "bo"}, groups=frozenset({"curators"}))
    job = replace(step_input(file_entry(payloads.serve("/a", b"a"))), depositor=who)

    driven = drive(job, of(context, collection))

    assert driven.ended_well is may
    if not may:
        assert isinstance(driven.last, Fail)
        assert driven.last.code is Failure.DEPOSIT_NOT_ALLOWED
        assert not any(key.startswith("objects/") for key in held(context, context.archive_bucket))


def test_an_ark_of_an_authority_that_is_not_listed_is_not_given(
    context: StorageContext, payloads: PayloadServer
) -> None:
    job = step_input(file_entry(payloads.serve("/a", b"a"), primary="ark:/13030/famousname"))

    refused, given = drive(job, context), drive(job, of(context, replace(OPEN, naans=("13030",))))

    assert isinstance(refused.last, Fail)
    assert refused.last.code is Failure.ARK_NOT_ALLOWED
    assert refused.last.requeueable  # once the collection lists it
    assert "an admin can add it" in refused.last.message  # and no owner can
    assert "owner" not in refused.last.message
    assert given.ended_well


def test_the_ark_of_an_object_of_the_collection_needs_no_listing(
    context: StorageContext, payloads: PayloadServer
) -> None:
    bare = of(context, replace(OPEN, naans=()))
    first = drive(step_input(file_entry(payloads.serve("/a", b"a"))), bare)
    ark = first.step_input.data["ark"]

    second = drive(step_input(file_entry(payloads.serve("/b", b"b"), primary=ark), job=1), bare)

    assert second.ended_well
    assert second.step_input.data["version"] == 2


def test_the_ark_that_another_job_will_make_cannot_be_taken_beforehand(
    context: StorageContext, payloads: PayloadServer
) -> None:
    first = step_input(file_entry(payloads.serve("/a", b"a")))
    second = step_input(file_entry(payloads.serve("/b", b"b"), primary=mint(first.job_id)), job=1)

    refused, made = drive(replace(second, collection="books"), context), drive(first, context)

    assert isinstance(refused.last, Fail)
    assert refused.last.code is Failure.ARK_NOT_ALLOWED
    assert made.ended_well
    assert made.step_input.data["ark"] == mint(first.job_id)


@pytest.mark.parametrize("inside", ["/page2", "/a/b/c", ".tiff", "/a.tiff"])
def test_nothing_is_put_inside_of_an_object_of_another_collection(
    context: StorageContext, payloads: PayloadServer, inside: str
) -> None:
    drive(step_input(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), context)
    entry = file_entry(payloads.serve("/b", b"b"), primary=f"ark:/1/a{inside}")

    other = drive(replace(step_input(entry, job=1), collection="books"), context)
    own = drive(step_input(entry, job=2), context)

    assert isinstance(other.last, Fail)
    assert other.last.code is Failure.IDENTIFIER_CONFLICT
    assert own.ended_well


def test_the_manifest_of_a_first_version_says_whose_an_ark_is(
    context: StorageContext, payloads: PayloadServer
) -> None:
    """Not recorded yet, so no record tells; however old it is."""
    until(
        "recording", step_input(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), context
    )
    other = replace(
        step_input(file_entry(payloads.serve("/b", b"b"), primary="ark:/1/a"), job=1),
        collection="books",
    )

    driven = drive(other, context)

    assert isinstance(driven.last, Fail)
    assert driven.last.code is Failure.IDENTIFIER_CONFLICT
    found = held(context, context.archive_bucket)
    assert [key for key in found if key.startswith("objects/")] == ["objects/ark-1-a/v1.json"]


def test_an_object_that_another_collection_recorded_meanwhile_is_not_written_on(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")
    for step in ("storing", "recording"):
        job = until(step, step_input(entry), context)
        foreign = ObjectVersion(
            "ark:/1/a", 1, "books", "b", "b.0.0", 1, 1, "0" * 64, (), context.now()
        )
        context.objects.record(foreign)

        outcome = STEPS[step](job, context)

        assert isinstance(outcome, Fail), step
        assert outcome.code is Failure.IDENTIFIER_CONFLICT
        latest = context.objects.latest("ark:/1/a")
        assert latest is not None
        assert (latest.version, latest.collection) == (1, "books")
        _forget("ark:/1/a")


def _forget(ark: str) -> None:
    from jobyard.store.tables import ObjectItem

    for item in ObjectItem.query(ark):
        item.delete()
