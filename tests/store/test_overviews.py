"""The overview that readers share stays small, whatever its texts are."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobyard.domain.activity import Act, Subject
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.progress import BatchProgress
from jobyard.domain.cost import Usage
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.overview import (
    NAME_BYTES_SHOWN,
    FailuresByCode,
    HoldInForce,
    LastRun,
    LimitsInUse,
    NamedBatch,
    NextRun,
    OpenBatch,
    OpenCampaign,
    Overview,
    ProblemRun,
    RefusedBatches,
    RunningJobs,
    ScheduleOverview,
    StateCount,
    SystemHealth,
    UndeliveredReport,
    UndeliveredReports,
    WaitingBatch,
)
from jobyard.domain.schedules.occurrence import SkipReason
from jobyard.domain.text import clean
from jobyard.services.queries import overview as overview_queries
from jobyard.store.overviews import document_of, parse_overview
from jobyard.store.tables import DocumentAttribute

MAX_BYTES = 112 * 1024
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# Long texts of letters that take most bytes: escaped by JSON, of four bytes, replaced when cleaned.
HOSTILE = ['"', "\\", "\U0001f5c3", "\x1b", "ä", "<"]
BATCH_ID, SCHEDULE_ID = "b" + "a" * 20, "s" + "a" * 20


def full(letter: str) -> Overview:
    """An overview in which every part is as large as it gets."""
    text = letter * 2_000
    counts = {state.value: 10**6 for state in JobState} | {"total": 10**7}
    an_open = OpenBatch(
        BATCH_ID,
        text,
        text,
        text,
        BatchState.UPDATE_REPORTING,
        NOON,
        text,
        counts,
        BatchProgress(1 / 3, 1e5 / 3),
        "a" * 64,
    )
    states = {state.value: 10**5 for state in TaskState}
    campaign = OpenCampaign(
        *("c" + "a" * 20, clean(text, NAME_BYTES_SHOWN), "partially_succeeded"),
        *("Partially Succeeded", states, 10**5, 10**5, 10**3, False, NOON),
    )
    running = RunningJobs("Tasks of device-update", 10**6, 10**6, "note" * 25, is_exact=False)
    held = HoldInForce(f"collection:{'a' * 64}", text, text, NOON)
    failing = tuple(NamedBatch(f"b{number:020d}", text, 10**7) for number in range(30))
    report = UndeliveredReport(BATCH_ID, text, "queued", NOON)
    run = LastRun(SCHEDULE_ID, text, NOON, "Skipped", text)
    problem = ProblemRun(SCHEDULE_ID, text, NOON, SkipReason.PREVIOUS_ACTIVE)
    subject = Subject("schedule job", f"{SCHEDULE_ID}.20261122T120000Z", text, 10**6)
    act = Act(NOON, text, "a" * 36, "update_reporting", subject, text, "r" + "0" * 12)
    alarm = clean(text, overview_queries.REASON_BYTES_SHOWN)
    return Overview(
        open_batches=(an_open,) * overview_queries.OPEN_SHOWN,
        counts={state.value: StateCount(500, is_exact=False) for state in BatchState},
        failing=failing,
        oldest_waiting=WaitingBatch(BATCH_ID, text, NOON),
        failures=tuple(FailuresByCode(code.value, failing, NOON, NOON) for code in Failure),
        has_all_open=False,
        has_all_failed=False,
        schedules=ScheduleOverview(
            (NextRun(SCHEDULE_ID, text, NOON),) * 10,
            (run,) * 5,
            (problem,) * 8,
            has_all_schedules=False,
            more_problems=92,
            is_exact=False,
        ),
        undelivered=UndeliveredReports((report,) * 20, is_exact=False),
        usage=Usage(1e9 / 3, 1e9 / 3, *[10**12] * 9),
        activity=(act,) * 30,
        system=SystemHealth((alarm,) * 16, 10**6, 9),
        campaigns=(campaign,) * 5,
        limits=LimitsInUse((running,) * 5, (held,) * 5, 95),
        refused=RefusedBatches(10, is_exact=False, batch_id=BATCH_ID, filename=text),
    )


@pytest.mark.parametrize("letter", HOSTILE)
def test_it_has_at_most_112_kilobytes(letter: str) -> None:
    stored = DocumentAttribute().serialize(document_of(full(letter)))

    assert len(stored.encode()) <= MAX_BYTES


@pytest.mark.parametrize("letter", HOSTILE)
def test_it_says_the_same_after_it_was_stored(letter: str) -> None:
    found = full(letter)
    stored = json.loads(DocumentAttribute().serialize(document_of(found)))

    again = parse_overview(stored)

    assert again.open_batches == found.open_batches
    assert again == parse_overview(json.loads(json.dumps(document_of(again))))
    assert replace(again, activity=()) == replace(found, activity=())


def test_an_empty_one_says_the_same_after_it_was_stored() -> None:
    found = Overview((), {}, (), None, ())

    assert parse_overview(json.loads(json.dumps(document_of(found)))) == found
    unknown = replace(found, system=SystemHealth(None, None), activity=(), campaigns=())
    assert parse_overview(json.loads(json.dumps(document_of(unknown)))) == unknown
