"""A fault at any call of a retention: the same archive, the same tombstones, each batch and
occurrence counted once, and nothing removed that was not archived."""

import gzip
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from jobyard.domain.jobs.job_type import Continue, Done, Snooze, StepInput, StepResult
from jobyard.domain.schedules.occurrence import Verdict
from jobyard.jobtypes.retention import RETENTION
from jobyard.store import (
    batches,
    checkpoints,
    chunks,
    jobs,
    occurrences,
    operations,
    reports,
    schedules,
    tables,
    usage,
)
from tests.archived_fixtures import (
    batch_of,
    put_batch,
    put_occurrences,
    reset_retention,
    schedule_of,
)
from tests.faults.fault_plans import FaultPlans, described, differing, how_many
from tests.faults.injection import Fault, FunctionDied, Injector, Point, faults_of
from tests.faults.scenario import NOON, RETRIED_ERRORS, ScenarioRunner
from tests.harness import Harness

JOB, NEXT = "a-retention.0.1", "a-retention.0.2"
BATCH = batch_of("old")
SCHEDULE = schedule_of("every morning")
# A few in each of two months, whose calls are those of a month with all its days.
DAYS = {day: Verdict.SKIP if day % 5 == 0 else Verdict.RUN for day in range(0, 52, 6)}
TRIES = 12  # of one retention; each injected fault needs one


@pytest.fixture
def empty_runner(runner: ScenarioRunner) -> ScenarioRunner:
    """A runner whose tables have nothing of other tests' batches."""
    reset_retention(runner.harness)
    return runner


def put_old_records(runner: ScenarioRunner) -> None:
    """An old batch, and an old schedule's occurrences."""
    put_batch(runner.harness, BATCH)
    schedules.put_new(SCHEDULE)
    put_occurrences(SCHEDULE, DAYS)


def archive(runner: ScenarioRunner, plan: Mapping[Point, Fault]) -> tuple[dict[str, Any], Injector]:
    """Archive an old batch and an old schedule, with the faults of `plan`."""
    harness = runner.harness
    put_old_records(runner)
    injector = Injector(plan, send=runner.send)
    with harness.interceptor.listening(injector):
        outcome = run_to_the_end(harness, injector)
    end = end_of(harness, outcome)
    runner.clear()
    clear()
    return end, injector


def once(harness: Harness, job_id: str) -> StepResult:
    """One attempt of a retention."""
    step_input = StepInput("", job_id, "", {}, {}, {}, attempt=1)
    ((_, step),) = RETENTION.steps
    return step(step_input, harness.system_worker().step_context(RETENTION))


def run_to_the_end(harness: Harness, injector: Injector) -> StepResult:
    """The result of a retention that is tried again after each fault, as its job is."""
    for _ in range(TRIES):
        try:
            with injector.watching():
                outcome = injector.trigger(lambda: once(harness, JOB))
        except RETRIED_ERRORS:
            continue
        if not isinstance(outcome, Snooze | Continue):
            return outcome  # type: ignore[no-any-return]
    raise AssertionError(f"{TRIES} tries were not enough")


def end_of(harness: Harness, outcome: StepResult) -> dict[str, Any]:
    """What the tables and buckets contain in the end."""
    batch_id, schedule_id = BATCH.batch_id, SCHEDULE.schedule_id
    tombstone = batches.BATCH_TOMBSTONES.find(batch_id)
    left = [
        *chunks.of_batch(batch_id),
        *(job for number in range(2) for job in jobs.of_chunk(batch_id, number)),
        *reports.of_batch(batch_id),
        *operations.of_batch(batch_id),
        *usage.parts_of(batch_id),
    ]
    return {
        "outcome": repr(outcome),
        "left": [repr(each) for each in left],
        "tombstone": tombstone and [tombstone.description, tombstone.phase],
        "kept_from": schedules.get(schedule_id).retained_from,
        "occurrences": [repr(each) for each in occurrences.older(schedule_id, harness.at)],
        "jobs": [repr(each) for each in jobs.of_chunk(schedule_id, 0)],
        "work": sorted(objects(harness, "work")),
        "archive": {key: body for key, body in objects(harness, "archive").items()},
    }


def objects(harness: Harness, bucket: str) -> dict[str, str]:
    """All versions of all objects of a bucket, unpacked."""
    found = {}
    for page in harness.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for number, each in enumerate(page.get("Versions", ())):
            key, version = each["Key"], each["VersionId"]
            body = harness.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
            text = gzip.decompress(body) if key.endswith(".gz") else body
            name = key if key not in found else f"{key} {number}"
            found[name] = text.decode()
    return found


def clear() -> None:
    """Leave no tombstone and no checkpoint for the next run."""
    tables.BatchItem(BATCH.batch_id).delete()
    tables.ScheduleItem(SCHEDULE.schedule_id).delete()
    for job_id in (JOB, NEXT):
        tables.CheckpointItem(job_id).delete()
    for item in [*tables.KeyValueItem.scan()]:
        if item.id.startswith("note#"):
            item.delete()
    left = [
        *tables.ReportItem.query(BATCH.batch_id),
        *tables.OperationItem.query(BATCH.batch_id),
        *tables.UsageItem.query(BATCH.batch_id),
        *tables.ChunkItem.query(BATCH.batch_id),
        *tables.JobItem.query(f"{BATCH.batch_id}#0"),
        *tables.JobItem.query(f"{BATCH.batch_id}#1"),
        *tables.JobItem.query(f"{SCHEDULE.schedule_id}#0"),
        *tables.OccurrenceItem.query(SCHEDULE.schedule_id),
    ]
    for each in left:
        each.delete()


@pytest.mark.turns(2)
def test_a_retention_ends_the_same_whichever_call_fails_in_whichever_way(
    empty_runner: ScenarioRunner, everything: bool, turn: int, summary: Callable[[str], None]
) -> None:
    baseline, injector = archive(empty_runner, {})
    always = {*archive(empty_runner, {})[1].points}
    calls = [point for point in injector.points if point in always]
    plans = FaultPlans.of(calls, turn // 2, everything=everything)
    wrong: dict[str, Any] = {}

    for plan in plans:
        end, injector = archive(empty_runner, plan)
        plans.note(plan, injector.injected)
        if found := differing(end, baseline):
            wrong[described(plan)] = found

    summary(
        f"faults, archive: {len(calls)} calls, {len(plans.injected)} points tried "
        f"({how_many(turn, everything=everything)})"
    )
    assert not wrong, "\n".join(f"{plan}\n    {ends}" for plan, ends in wrong.items())
    counts = {"processed": 1 + len(DAYS), "failed": 0, "total": 1 + len(DAYS)}
    expected = Done({"records": counts}, f"archived records: {1 + len(DAYS)}")
    assert baseline["outcome"] == repr(expected)
    assert (baseline["left"], baseline["work"], baseline["jobs"]) == ([], [], [])
    plans.expect_all()


def test_a_retention_finishes_what_a_lost_one_began(
    empty_runner: ScenarioRunner, everything: bool, turn: int
) -> None:
    baseline, injector = archive(empty_runner, {})
    points = injector.points if everything else injector.points[turn % 24 :: 24]
    harness, wrong = empty_runner.harness, {}

    for point in points:
        harness.at = NOON
        put_old_records(empty_runner)
        dies = next(
            fault for fault in faults_of(point) if fault.name.startswith("is the last before")
        )
        injector = Injector({point: dies}, send=empty_runner.send)
        with harness.interceptor.listening(injector), injector.watching(), suppress(FunctionDied):
            injector.trigger(lambda: once(harness, JOB))
        harness.advance(24 * 3600)
        outcome = once(harness, NEXT)
        counted = checkpoints.get(JOB).processed + checkpoints.get(NEXT).processed
        end = end_of(harness, outcome)
        gone = [end[what] == baseline[what] for what in ("left", "occurrences", "jobs", "work")]
        lost = lines(baseline["archive"]) - lines(end["archive"])
        if counted != 1 + len(DAYS) or not all(gone) or lost:
            wrong[str(point)] = (counted, gone, lost)
        empty_runner.clear()
        clear()

    assert wrong == {}


def lines(archive: Mapping[str, str]) -> set[str]:
    """The lines of all parts."""
    packed = [text for key, text in archive.items() if key.endswith(".jsonl.gz")]
    return {line for text in packed for line in text.splitlines()}
