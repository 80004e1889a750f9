"""A job asks whether it may write before it identifies its object, and before each write."""

from dataclasses import replace

import pytest

from jobyard.domain.collection import Collection, Depositor
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail, StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.deposit.identity import mint
from jobyard.jobtypes.step_context import StepContext
from tests.jobtypes.deposits import drive, file_entry, held, work
from tests.jobtypes.payload_server import PayloadServer
from tests.open_collections import an_open_collection

STEPS = dict(DEPOSIT.steps)
NAMES = [name for name, _ in DEPOSIT.steps]
OPEN = an_open_collection("maps")
CLOSED = replace(OPEN, drops=False, groups=frozenset())


def of(touch: StepContext, collection: Collection | None) -> StepContext:
    return replace(touch, collection=lambda: collection)


def until(step: str, job: StepInput, touch: StepContext) -> StepInput:
    """The job before `step`, all before it done."""
    for name in NAMES[: NAMES.index(step)]:
        outcome = STEPS[name](job, touch)
        if isinstance(outcome, Done):
            job = replace(job, data={**job.data, **outcome.result})
    return job


@pytest.mark.parametrize("step", ["processing", "storing", "recording"])
@pytest.mark.parametrize("now", [None, CLOSED])
def test_each_step_that_writes_asks_anew(
    touch: StepContext, payloads: PayloadServer, step: str, now: Collection | None
) -> None:
    """So a requeue that goes on after the object was identified is no way round."""
    job = until(step, work(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), touch)

    outcome = STEPS[step](job, of(touch, now))

    assert isinstance(outcome, Fail)
    assert outcome.code is Failure.DEPOSIT_NOT_ALLOWED
    assert (outcome.retryable, outcome.recoverable) == (False, True)
    assert "jobyard collection" in outcome.message
    assert touch.objects.latest("ark:/1/a") is None
    assert isinstance(STEPS[step](job, touch), Done)  # the right is given: a requeue goes on


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
    touch: StepContext, payloads: PayloadServer, who: Depositor, may: bool
) -> None:
    collection = replace(CLOSED, people={"id-bo": "bo"}, groups=frozenset({"curators"}))
    job = replace(work(file_entry(payloads.serve("/a", b"a"))), depositor=who)

    driven = drive(job, of(touch, collection))

    assert driven.ended_well is may
    if not may:
        assert isinstance(driven.last, Fail)
        assert driven.last.code is Failure.DEPOSIT_NOT_ALLOWED
        assert not any(key.startswith("objects/") for key in held(touch, touch.archive_bucket))


def test_an_ark_of_an_authority_that_is_not_listed_is_not_given(
    touch: StepContext, payloads: PayloadServer
) -> None:
    job = work(file_entry(payloads.serve("/a", b"a"), primary="ark:/13030/famousname"))

    refused, given = drive(job, touch), drive(job, of(touch, replace(OPEN, naans=("13030",))))

    assert isinstance(refused.last, Fail)
    assert refused.last.code is Failure.ARK_NOT_ALLOWED
    assert refused.last.recoverable  # once the collection lists it
    assert "an admin can add it" in refused.last.message  # and no owner can
    assert "owner" not in refused.last.message
    assert given.ended_well


def test_the_ark_of_an_object_of_the_collection_needs_no_listing(
    touch: StepContext, payloads: PayloadServer
) -> None:
    bare = of(touch, replace(OPEN, naans=()))
    first = drive(work(file_entry(payloads.serve("/a", b"a"))), bare)
    ark = first.work.data["ark"]

    second = drive(work(file_entry(payloads.serve("/b", b"b"), primary=ark), job=1), bare)

    assert second.ended_well
    assert second.work.data["version"] == 2


def test_the_ark_that_another_job_will_make_cannot_be_taken_beforehand(
    touch: StepContext, payloads: PayloadServer
) -> None:
    victim = work(file_entry(payloads.serve("/a", b"a")))
    thief = work(file_entry(payloads.serve("/b", b"b"), primary=mint(victim.job_id)), job=1)

    refused, made = drive(replace(thief, collection="books"), touch), drive(victim, touch)

    assert isinstance(refused.last, Fail)
    assert refused.last.code is Failure.ARK_NOT_ALLOWED
    assert made.ended_well
    assert made.work.data["ark"] == mint(victim.job_id)


@pytest.mark.parametrize("inside", ["/page2", "/a/b/c", ".tiff", "/a.tiff"])
def test_nothing_is_put_inside_of_an_object_of_another_collection(
    touch: StepContext, payloads: PayloadServer, inside: str
) -> None:
    drive(work(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), touch)
    entry = file_entry(payloads.serve("/b", b"b"), primary=f"ark:/1/a{inside}")

    other = drive(replace(work(entry, job=1), collection="books"), touch)
    own = drive(work(entry, job=2), touch)

    assert isinstance(other.last, Fail)
    assert other.last.code is Failure.IDENTIFIER_CONFLICT
    assert own.ended_well


def test_the_manifest_of_a_first_version_says_whose_an_ark_is(
    touch: StepContext, payloads: PayloadServer
) -> None:
    """Not recorded yet, so no record tells; however old it is."""
    until("recording", work(file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")), touch)
    other = replace(
        work(file_entry(payloads.serve("/b", b"b"), primary="ark:/1/a"), job=1), collection="books"
    )

    driven = drive(other, touch)

    assert isinstance(driven.last, Fail)
    assert driven.last.code is Failure.IDENTIFIER_CONFLICT
    found = held(touch, touch.archive_bucket)
    assert [key for key in found if key.startswith("objects/")] == ["objects/ark-1-a/v1.json"]


def test_an_object_that_another_collection_recorded_meanwhile_is_not_written_on(
    touch: StepContext, payloads: PayloadServer
) -> None:
    entry = file_entry(payloads.serve("/a", b"a"), primary="ark:/1/a")
    for step in ("storing", "recording"):
        job = until(step, work(entry), touch)
        foreign = ObjectVersion(
            "ark:/1/a", 1, "books", "b", "b.0.0", 1, 1, "0" * 64, (), touch.now()
        )
        touch.objects.record(foreign)

        outcome = STEPS[step](job, touch)

        assert isinstance(outcome, Fail), step
        assert outcome.code is Failure.IDENTIFIER_CONFLICT
        latest = touch.objects.latest("ark:/1/a")
        assert latest is not None
        assert (latest.version, latest.collection) == (1, "books")
        _forget("ark:/1/a")


def _forget(ark: str) -> None:
    from jobyard.store.tables import ObjectItem

    for item in ObjectItem.query(ark):
        item.delete()
