"""Whatever happens at whichever call of a retention: the same archive, the same tombstones, each
batch and occurrence counted once, and nothing removed that was not archived."""

import gzip
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from jobyard.domain.jobs.job_type import Done, Outcome, Snooze, StepInput
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
from tests.faults.story import FAILED, NOON, Stage
from tests.faults.striking import Died, Fate, Point, Way, ways_of
from tests.faults.test_every_call import PATIENCE, by_turns, differing, singly, words
from tests.walk.old import batch_of, forget, laid_down, occurred, schedule_of
from tests.walk.yard import Yard

JOB, NEXT = "a-retention.0.1", "a-retention.0.2"
BATCH = batch_of("struck")
SCHEDULE = schedule_of("struck every morning")
DAYS = {day: Verdict.SKIP if day % 5 == 0 else Verdict.RUN for day in range(52)}
TRIES = 12  # of one retention: a call may fail, or its function die, as often as it is struck


@pytest.fixture
def laid(stage: Stage) -> Stage:
    """A stage on which nothing is known of other tests' batches."""
    forget(stage.yard)
    return stage


def lay_down(stage: Stage) -> None:
    """An old batch, and an old schedule's occurrences."""
    laid_down(stage.yard, BATCH)
    schedules.put_new(SCHEDULE)
    occurred(SCHEDULE, DAYS)


def told(stage: Stage, plan: Mapping[Point, Way]) -> tuple[dict[str, Any], Fate]:
    """Archive an old batch and an old schedule, the calls of `plan` struck in its ways."""
    yard = stage.yard
    lay_down(stage)
    fate = Fate(plan, send=stage.send)
    with yard.wire.heard_by(fate):
        outcome = persisted(yard, fate)
    end = looked_at(yard, outcome)
    stage.clear()
    clear()
    return end, fate


def once(yard: Yard, job_id: str) -> Outcome:
    """One attempt of a retention."""
    work = StepInput("", job_id, "", {}, {}, {}, attempt=1)
    ((_, archiving),) = RETENTION.steps
    return archiving(work, yard.worker().touch(600))


def persisted(yard: Yard, fate: Fate) -> Outcome:
    """What a retention comes to, tried again whenever it is cut off, as its job is."""
    for _ in range(TRIES):
        try:
            with fate.watching():
                outcome = fate.wake(lambda: once(yard, JOB))
        except FAILED:
            continue
        if not isinstance(outcome, Snooze):
            return outcome  # type: ignore[no-any-return]
    raise AssertionError(f"{TRIES} tries were not enough")


def looked_at(yard: Yard, outcome: Outcome) -> dict[str, Any]:
    """What there is in the end: of the batch, of the schedule, and in the buckets."""
    batch_id, schedule_id = BATCH.batch_id, SCHEDULE.schedule_id
    tombstone = batches.tombstone(batch_id)
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
        "tombstone": tombstone and [tombstone.words, tombstone.phase],
        "kept_from": schedules.get(schedule_id).kept_from,
        "occurrences": [repr(each) for each in occurrences.older(schedule_id, yard.at)],
        "jobs": [repr(each) for each in jobs.of_chunk(schedule_id, 0)],
        "work": sorted(objects(yard, "work")),
        "archive": {key: body for key, body in objects(yard, "archive").items()},
    }


def objects(yard: Yard, bucket: str) -> dict[str, str]:
    """All versions of all objects of a bucket, unpacked."""
    found = {}
    for page in yard.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for number, each in enumerate(page.get("Versions", ())):
            key, version = each["Key"], each["VersionId"]
            body = yard.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
            text = gzip.decompress(body) if key.endswith(".gz") else body
            name = key if key not in found else f"{key} {number}"
            found[name] = text.decode()
    return found


def clear() -> None:
    """Leave no tombstone and no checkpoint for the next telling."""
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


def test_a_retention_comes_to_the_same_end_whichever_call_goes_wrong_in_whichever_way(
    laid: Stage, everything: bool, turn: int, tell: Callable[[str], None]
) -> None:
    undisturbed, fate = told(laid, {})
    always = {*told(laid, {})[1].points}
    calls = [point for point in fate.points if point in always]
    plans = singly(calls) if everything else by_turns(calls, turn)
    wrong: dict[str, Any] = {}
    points: set[tuple[Point, str]] = set()
    misses: Counter[Point] = Counter()
    while plans:
        plan = plans.pop()
        end, fate = told(laid, plan)
        points |= {(point, plan[point].name) for point in fate.struck}
        if end != undisturbed:
            wrong[words(plan)] = differing(end, undisturbed)
        missed = {point: way for point, way in plan.items() if point not in fate.struck}
        misses.update([*missed])
        plans += [{point: way} for point, way in missed.items() if misses[point] < PATIENCE]
    how = "every call in every way" if everything else f"every call once, ways by --turn {turn}"
    tell(f"faults, archiving: {len(calls)} calls, {len(points)} points tried ({how})")

    assert not wrong, "\n".join(f"{plan}\n    {ends}" for plan, ends in wrong.items())
    counts = {"processed": 1 + len(DAYS), "failed": 0, "total": 1 + len(DAYS)}
    expected = Done({"records": counts}, f"archived batches and occurrences: {1 + len(DAYS)}")
    assert undisturbed["outcome"] == repr(expected)
    assert (undisturbed["left"], undisturbed["work"], undisturbed["jobs"]) == ([], [], [])
    assert {call for call, _ in points} == set(calls)
    assert len(points) == sum(len(ways_of(call)) if everything else 1 for call in calls)


def test_what_a_retention_left_that_never_came_back_the_next_one_finishes(
    laid: Stage, everything: bool, turn: int
) -> None:
    undisturbed, fate = told(laid, {})
    points = fate.points if everything else fate.points[turn % 7 :: 7]
    yard, wrong = laid.yard, {}

    for point in points:
        yard.at = NOON
        lay_down(laid)
        dies = next(way for way in ways_of(point) if way.name.startswith("is the last before"))
        fate = Fate({point: dies}, send=laid.send)
        with yard.wire.heard_by(fate), fate.watching(), suppress(Died):
            fate.wake(lambda: once(yard, JOB))
        yard.later(24 * 3600)
        outcome = once(yard, NEXT)
        counted = checkpoints.get(JOB).processed + checkpoints.get(NEXT).processed
        end = looked_at(yard, outcome)
        gone = [end[what] == undisturbed[what] for what in ("left", "occurrences", "jobs", "work")]
        lost = lines(undisturbed["archive"]) - lines(end["archive"])
        if counted != 1 + len(DAYS) or not all(gone) or lost:
            wrong[str(point)] = (counted, gone, lost)
        laid.clear()
        clear()

    assert wrong == {}


def lines(archive: Mapping[str, str]) -> set[str]:
    """The lines of all parts."""
    packed = [text for key, text in archive.items() if key.endswith(".jsonl.gz")]
    return {line for text in packed for line in text.splitlines()}
