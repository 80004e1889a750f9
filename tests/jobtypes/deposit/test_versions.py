import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job_type import Done, Snooze, StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.deposit.identity import description_of, mint
from jobyard.jobtypes.deposit.keys import version_key
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import drive, file_entry, held, step_input
from tests.jobtypes.payload_server import PayloadServer

ARK = "ark:/99999/jmap"
STORED = [name for name, _ in DEPOSIT.steps].index("storing") + 1


def numbered(count: int, payloads: PayloadServer) -> list[StepInput]:
    """Jobs that each bring another content for one object."""
    return [
        step_input(file_entry(payloads.serve(f"/{n}", b"%d" % n), primary=ARK), job=n)
        for n in range(count)
    ]


def until_stored(job: StepInput, context: StorageContext) -> StepInput:
    """The job after storing; its version is not yet recorded."""
    for _, step in DEPOSIT.steps[:STORED]:
        outcome = step(job, context)
        if isinstance(outcome, Done):
            job = replace(job, data={**job.data, **outcome.result})
    return job


def manifests(context: StorageContext) -> dict[int, str]:
    """The job's manifest of each version of the object."""
    found = held(context, context.archive_bucket)
    documents = [json.loads(found[key]) for key in found if key.startswith("objects/")]
    return {document["version"]: document["job_id"] for document in documents}


def recording(job: StepInput, context: StorageContext) -> Any:
    return dict(DEPOSIT.steps)["recording"](job, context)


def test_a_version_that_is_being_stored_is_waited_for(
    context: StorageContext, payloads: PayloadServer
) -> None:
    first, second = numbered(2, payloads)
    until_stored(first, context)

    waiting = drive(second, context)

    assert isinstance(waiting.last, Snooze)
    assert first.job_id in waiting.last.message
    assert manifests(context) == {1: first.job_id}


class Overtaken:
    """The objects; the record of this job's version appears right after it was searched."""

    def __init__(self, objects: Any, record: Callable[[], object]) -> None:
        self._objects, self._record = objects, record

    def latest_and_own(self, ark: str, job_id: str) -> Any:
        found = self._objects.latest_and_own(ark, job_id)
        self._record()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)


def test_a_version_recorded_by_another_worker_of_the_job_counts_as_new(
    context: StorageContext, payloads: PayloadServer
) -> None:
    (job,) = numbered(1, payloads)
    overtaken = Overtaken(context.objects, lambda: recording(until_stored(job, context), context))

    stored = until_stored(job, replace(context, objects=overtaken))

    assert stored.data["version"] == 1
    assert "same" not in stored.data


def test_the_version_of_a_dead_job_is_skipped_and_never_overwritten(
    context: StorageContext, payloads: PayloadServer
) -> None:
    first, second = numbered(2, payloads)
    left = until_stored(first, context)
    later = replace(context, now=lambda: context.now() + timedelta(minutes=30))

    done = drive(second, later)
    late = recording(left, later)

    assert done.step_input.data["version"] == 2
    assert isinstance(late, Done)
    assert late.result["version"] == 3
    assert manifests(context) == {1: first.job_id, 2: second.job_id, 3: first.job_id}
    latest = context.objects.latest(ARK)
    assert latest
    assert (latest.version, latest.job_id) == (3, first.job_id)


def test_a_job_that_loses_its_version_number_takes_the_next_one(
    context: StorageContext, payloads: PayloadServer
) -> None:
    (job,) = numbered(1, payloads)
    stored = until_stored(job, context)

    class FasterJob:
        """Objects where another job is faster, once."""

        was_overtaken = False

        def __getattr__(self, name: str) -> Any:
            return getattr(context.objects, name)

        def record(self, version: ObjectVersion) -> None:
            if not self.was_overtaken:
                self.was_overtaken = True
                others = replace(version, job_id="another", manifest_digest="0" * 64)
                context.objects.record(others)
                raise StaleState("another was quicker")
            context.objects.record(version)

    outcome = recording(stored, replace(context, objects=FasterJob()))

    assert isinstance(outcome, Done)
    assert outcome.result["version"] == 2
    latest = context.objects.latest(ARK)
    assert latest
    assert (latest.version, latest.job_id) == (2, job.job_id)


def test_jobs_for_one_object_at_once_each_get_a_version_of_their_own(
    context: StorageContext, payloads: PayloadServer
) -> None:
    jobs = numbered(4, payloads)

    def through(job: StepInput) -> int:
        driven = drive(job, context)
        while isinstance(driven.last, Snooze):
            driven.run_remaining(context)
        assert driven.ended_well, driven.last
        return int(driven.step_input.data["version"])

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(through, jobs))

    assert len(set(versions)) == 4
    recorded = {version: job.job_id for version, job in zip(versions, jobs, strict=True)}
    assert recorded.items() <= manifests(context).items()


def test_a_job_records_one_version_however_often_it_runs(
    context: StorageContext, payloads: PayloadServer
) -> None:
    (job,) = numbered(1, payloads)
    done = drive(job, context)

    again = drive(job, context)

    assert again.step_input.data["version"] == done.step_input.data["version"] == 1
    assert manifests(context) == {1: job.job_id}


@given(st.text(), st.text())
def test_a_job_mints_one_ark_and_two_jobs_mint_two(one: str, other: str) -> None:
    assert mint(one) == mint(one)
    assert (mint(one) == mint(other)) is (one == other)
    assert mint(one).removeprefix("ark:/99999/j").isalnum()


@pytest.mark.parametrize(
    ("local", "ids"),
    [([], ()), (["a", "b"], ("a", "b")), (["a", "a"], ("a",)), ("a; b;;a", ("a", "b"))],
)
def test_local_ids_come_as_a_list_or_as_one_text(local: Any, ids: tuple[str, ...]) -> None:
    job = step_input({"kind": "files", "name": "x"}, parameters={"local": local})

    assert description_of(job).local == ids


@pytest.mark.parametrize(
    ("entry", "lock"),
    [
        ({"primary": ARK, "local": ["m-1"]}, ARK),
        ({"primary": "ark:99999/j-map"}, ARK),
        ({"local": ["m-1", "m-2"]}, "m-1"),
        ({}, ""),
    ],
)
def test_jobs_of_one_object_take_turns_by_what_their_row_names(
    entry: dict[str, Any], lock: str
) -> None:
    assert DEPOSIT.lock({"kind": "file", **entry}) == lock


def test_versions_of_different_arks_never_share_a_place() -> None:
    arks = ["ark:/99999/jabc", "ark:/9999/9jabc", "ark:/99999/jab", "ark:/99998/jabc"]
    arks += ["ark:/99999/jab/c", "ark:/99999/jab.c", "ark:/99999/j/abc", "ark:/99999/jab%2Fc"]

    assert len({version_key(ark, 1) for ark in arks}) == len(arks)


def test_the_deposit_has_merritts_labels_and_steps() -> None:
    label: Callable[[str], str] = TYPES["deposit"].labels.__getitem__

    assert label("scheduled") == "Pending"
    assert label("running") == "Processing"
    assert label("succeeded") == "Completed"
    assert [name for name, _ in TYPES["deposit"].steps] == [
        "estimating",
        "provisioning",
        "downloading",
        "processing",
        "storing",
        "recording",
        "notify",
    ]
