"""A deployment with a lot in it, written directly: a batch of 100,000 jobs, 60 batches in all
states, every failure code, 500 schedules, 200 acts, a day of rates, names of every script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from math import sin

import boto3

from jobyard.domain.activity import Act, Subject
from jobyard.domain.alarms import RUNBOOKS
from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.batches.operation import (
    ACCEPTED,
    REFUSED,
    Filter,
    JobOutcome,
    Operation,
    OperationState,
)
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.cost import Usage
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import Attempt, JobRecord, JobState, StepRecord, StepStatus
from jobyard.domain.rates import JobTotals
from jobyard.domain.schedules.calendar import CalendarChange, StoredCalendar, calendar_of
from jobyard.domain.schedules.schedule import Schedule
from jobyard.services.batches import rows
from jobyard.services.queries.reports import LINKED_FILES
from jobyard.services.settings import Settings
from jobyard.store import activity, calendars, chunks, holds, jobs, operations, rates, usage
from jobyard.store.tables import ChunkItem
from tests.browser.campaign_volume import store_campaigns
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_job,
    a_report,
    put_findings,
)
from tests.functions.api.dead_letter_messages import (
    execution_event,
    failed_invocation,
    mail_event,
    manifest_event,
    put_letter,
)
from tests.functions.api.log_events import CHUNK_LOGS, REQUEST, put_log, report_line, worker_line
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule, minute, work
from tests.functions.web.alarms import put_alarm
from tests.people import sub_of
from web.address import address_of

CHUNK_SIZE = 100
OPERATION, RUNNING_OPERATION = "o1", "o2"
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_TITLES = ("Expired Confidential Voter Status Sweep", "有権者名簿", "تحديث سجل الناخبين")
NAMES = (
    "may.checkm",
    "خرائط البحر الأحمر والمحيط الهندي.checkm",
    "מפות ירושלים מהמאה התשע עשרה.checkm",
    "北海道の古地図と航海日誌-二〇二六年五月.checkm",
    "a-manifest-whose-name-is-so-long-that-no-column-has-room-for-it-2026-05-31-second-try.checkm",
    "Übersichtskarten der Flurbereinigung, Blatt 12 bis 480 (Nachtrag).checkm",
)
_LONG = (
    "GET https://files.example.org/collections/maps/2026/05/sheets/0048/masters/tiff/"
    "sheet-0048-verso-600dpi-uncompressed.tif?version=4&signature=9f86d081884c7d659a2feaa0c55ad015 "
    "ended after 1,048,576 of 734,003,200 bytes: the server closed the connection, and the next "
    "request with Range: bytes=1048576- was answered with 200 and the whole file from its start."
)


@dataclass(frozen=True)
class Volume:
    """What was stored: the large batch, one with failures, a quiet one, a job, a schedule."""

    large: Batch
    failed: Batch
    quiet: Batch
    refused: Batch
    job: JobRecord
    schedule: Schedule
    ark: str
    campaigns: Mapping[str, str]

    @property
    def addresses(self) -> Mapping[str, str]:
        """The address of each page, by a name for a file."""
        large, failed = (f"/batches/{each.batch_id}" for each in (self.large, self.failed))
        schedule = f"/schedules/{self.schedule.schedule_id}"
        return {
            "home": "/?range=24h",
            "failures": "/failures",
            "failures-of-code": "/failures?code=PAYLOAD_NOT_FOUND",
            "undelivered": "/undelivered",
            "activity": "/activity",
            "batches": "/batches",
            "batches-none": "/batches?state=cancelling&collection=nowhere",
            "upload": "/batches/new",
            "batch": large,
            "batch-quiet": f"/batches/{self.quiet.batch_id}",
            "batch-refused": f"/batches/{self.refused.batch_id}",
            "jobs": f"{large}/jobs",
            "jobs-failed": f"{large}/jobs?state=failed",
            "findings": f"{failed}/findings",
            "reports": f"{failed}/reports",
            "cost": f"{large}/cost",
            "history": f"{failed}/history",
            "job": f"/jobs/{self.job.address.job_id}",
            "job-of-filter": f"/jobs/{self.job.address.job_id}?state=failed",
            "job-log": f"/jobs/{self.job.address.job_id}/log",
            "objects": "/objects",
            "object": address_of("object", self.ark),
            "system": "/system",
            "holds": "/holds",
            "collections": "/collections",
            "collection": "/collections/maps",
            "calendars": "/calendars",
            "calendar": "/calendars/holidays",
            "job-management": "/job-management",
            "job-management-problem": "/job-management?status=problem",
            "schedule": schedule,
            "schedule-new": "/schedules/new",
            "schedule-edit": f"{schedule}/edit",
            "schedule-history": f"{schedule}/history",
            "schedule-year": f"{schedule}/year",
            "schedule-cost": f"{schedule}/cost",
            "schedule-reports": f"{schedule}/reports",
            "lifecycle": "/lifecycles/batch?state=failed",
            "missing": "/nothing-here",
            "find": "/find?q=may.checkm",
            "find-none": "/find?q=nothing+has+this+name",
            "report-changes": f"{failed}/reports/2/changes",
            "operation": f"{failed}/operations/{OPERATION}",
            "operation-running": f"{failed}/operations/{RUNNING_OPERATION}",
            "signed-out": "/signed-out",
            **self.campaigns,
        }


def store_volume(settings: Settings, *, entries: int = 100_000, schedules: int = 500) -> Volume:
    """Store all of it in the empty tables and queues."""
    large, job = _large_batch(entries)
    failed = _failed_batch(settings)
    quiet = a_batch(
        "completed",
        entries=40,
        last_report=1,
        filename=NAMES[5],
        started_at=HOUR_AGO,
        ended_at=NOW - timedelta(minutes=12),
    )
    for number in range(40):
        a_job(quiet, number, "succeeded")
    refused = a_batch(
        "failed", findings=2, failure_message="The manifest has 2 errors. No job was created."
    )
    put_findings(refused, _FINDINGS[:2])
    for number, (state, name) in enumerate(islice(_states_and_names(), 56)):
        at = HOUR_AGO - timedelta(hours=3 * number)
        batch = a_batch(state, filename=name, submitted_at=at, entries=4 + number % 5)
        if state not in {"pending", "held", "deleted"}:
            a_job(batch, 0, "failed" if state == "failed" else "succeeded")
            a_job(batch, 1, "succeeded")
    schedule = _schedules(schedules)
    _acts(large)
    _rates()
    holds.put(Hold("collection:books", "operator", _LONG, HOUR_AGO, NOW + _DAY, sub_of("operator")))
    _system(settings)
    holds.put(Hold("type:edit", "admin", "the table moves to another region", HOUR_AGO))
    for version in (1, 2, 3):
        a_version("ark:/99999/fk4map", version, files=12, batch_id=large.batch_id)
    campaigns = store_campaigns(settings)
    return Volume(large, failed, quiet, refused, job, schedule, "ark:/99999/fk4map", campaigns)


def _states_and_names() -> "zip[tuple[str, str]]":
    states = [each.value for each in BatchState if each is not BatchState.DELETED]
    return zip(cycle(states), cycle(NAMES), strict=False)


def _large_batch(entries: int) -> tuple[Batch, JobRecord]:
    batch = a_batch(
        "processing",
        entries=entries,
        chunk_size=CHUNK_SIZE,
        files_count=entries,
        findings=len(_FINDINGS),
        filename=NAMES[0],
        note="Second delivery of the spring survey; the first had no digests.",
        started_at=HOUR_AGO + timedelta(minutes=2),
    )
    put_findings(batch, _FINDINGS)
    codes = cycle(Failure)
    for number in range(12):
        code = next(codes).value
        a_job(batch, number, "failed", failure_code=code, failure_message=_LONG)
    for number in range(12, 60):
        a_job(batch, number, "succeeded")
    usage.add(batch.batch_id, "execute", Usage(212_400.0, 54_310.0, 3_212, 1_204, s3_writes=98_112))
    job = a_job(
        batch,
        60,
        "failed",
        failure_code=Failure.PAYLOAD_TRUNCATED.value,
        failure_message=_LONG,
        attempts=_attempts(),
        steps=_STEPS,
    )
    _put_log(job)
    for number in range(61, 70):
        a_job(batch, number, "running")
    for number in range(CHUNK_SIZE, 2 * CHUNK_SIZE):  # as many as a page lists
        a_job(batch, number, "failed")
    records = [_counted(batch, number) for number in (0, 1)]
    records += [_chunk(batch, number) for number in range(2, batch.chunk_count * 4 // 5)]
    with ChunkItem.batch_write() as writing:
        for record in records:
            writing.save(chunks.item_of(record))
    return batch, job


def _put_log(job: JobRecord) -> None:
    """The lines of the last attempt: of Lambda, of the worker, and a traceback."""
    last, job_id = job.attempts[-1], job.address.job_id
    trace = "Traceback (most recent call last):\n" + '  File "/var/task/a.py", line 7\n' * 9 + _LONG
    put_log(
        CHUNK_LOGS,
        last.started_at,
        f"START RequestId: {last.request_id} Version: $LATEST",
        worker_line("step error", last.request_id, job_id, level="ERROR", exception=trace),
        worker_line("pass ended", last.request_id, ended=212, failed=1, run="main"),
        worker_line("job failed", last.request_id, job_id, level="WARNING", step="downloading"),
        report_line(last.request_id),
    )


def _counted(batch: Batch, number: int) -> ChunkRecord:
    """A chunk with the counts of the jobs that are stored."""
    empty = ChunkRecord(batch.batch_id, number, version=9)
    return empty.with_counts_of(jobs.of_chunk(batch.batch_id, number))


def _chunk(batch: Batch, number: int) -> ChunkRecord:
    """A chunk, by its place in the batch: done, failing, held, cancelled, running."""
    place = number * 100 // batch.chunk_count
    counts = {JobState.SUCCEEDED: CHUNK_SIZE}
    failures: dict[str, int] = {}
    if 20 <= place < 28:
        counts = {JobState.SUCCEEDED: 40, JobState.FAILED: 60}
        failures = dict.fromkeys(islice(Failure, number % len(Failure), None), 1)
        failures[Failure.PAYLOAD_NOT_FOUND] = (
            60 - sum(failures.values()) + failures.get(Failure.PAYLOAD_NOT_FOUND, 0)
        )
    elif 45 <= place < 49:
        counts = {JobState.HELD: CHUNK_SIZE}
    elif 55 <= place < 57:
        counts = {JobState.CANCELLED: CHUNK_SIZE}
    elif number % 37 == 0:
        counts = {JobState.SUCCEEDED: CHUNK_SIZE - 1, JobState.FAILED: 1}
        failures = {Failure.DIGEST_MISMATCH: 1}
    elif place >= 70:
        counts = {JobState.SUCCEEDED: 30, JobState.RUNNING: 50}
    return ChunkRecord(
        batch.batch_id,
        number,
        version=1,
        counts={state.value: count for state, count in counts.items()},
        failures={str(code): count for code, count in failures.items()},
        not_requeueable={Failure.UNWRITABLE.value: 1} if Failure.UNWRITABLE in failures else {},
        failed_at={str(code): (HOUR_AGO, NOW - number * _SECOND) for code in failures},
    )


def _attempts() -> tuple[Attempt, ...]:
    codes = (Failure.PAYLOAD_BUSY, Failure.PAYLOAD_TIMEOUT, Failure.PAYLOAD_TRUNCATED)
    return tuple(
        Attempt(
            HOUR_AGO + timedelta(minutes=4 * number),
            HOUR_AGO + timedelta(minutes=4 * number + 1 + number % 3),
            "downloading",
            codes[number % 3].value,
            _LONG if number % 2 else "503 from files.example.org, Retry-After: 120",
            request_id=REQUEST.format(number),
        )
        for number in range(8)
    )


_STEPS = (
    StepRecord("estimating", StepStatus.COMPLETED, HOUR_AGO, HOUR_AGO + timedelta(seconds=2)),
    StepRecord("provisioning", StepStatus.SKIPPED, HOUR_AGO, HOUR_AGO),
    StepRecord("downloading", StepStatus.FAILED, HOUR_AGO, HOUR_AGO + timedelta(minutes=31)),
)
_FINDINGS: Sequence[dict[str, object]] = [
    {
        "level": "error" if number < 8 else "warning",
        "code": ("NO_ROWS", "BAD_URL", "DUPLICATE_ROW", "BYTE_ORDER_MARK")[number % 4],
        "line": 3 + number * 41,
        "column": 2 + number,
        "message": _LONG if number % 5 == 1 else "the size is not a whole number: 12,5 MB",
    }
    for number in range(24)
]


def _failed_batch(settings: Settings) -> Batch:
    batch = a_batch(
        "failed",
        entries=len(Failure),
        findings=len(_FINDINGS),
        last_report=len(DeliveryState),
        filename=NAMES[4],
        started_at=HOUR_AGO,
        ended_at=NOW - timedelta(minutes=20),
    )
    put_findings(batch, _FINDINGS)
    for number, code in enumerate(Failure):
        a_job(batch, number, "failed", failure_code=code.value, failure_message=code.description)
    for seq, state in enumerate(DeliveryState, 1):
        error = _LONG if state in {DeliveryState.BOUNCED, DeliveryState.FAILED} else ""
        delivery = Delivery(state, HOUR_AGO + timedelta(minutes=seq), f"m-{seq}", error)
        files = {name: name for name in LINKED_FILES}
        a_report(
            batch,
            seq,
            "f" * (batch.entries - seq) + "s" * seq,
            delivery=delivery,
            changed_count=seq,
            subject=f"FAIL {NAMES[4]}",
            files=files | {"outcomes": f"reports/{batch.batch_id}/{seq}/outcomes"},
        )
    _operation(batch, settings, OPERATION, NOW)
    _operation(batch, settings, RUNNING_OPERATION, None)
    return batch


def _operation(
    batch: Batch, settings: Settings, operation_id: str, ended_at: datetime | None
) -> None:
    """A requeue, which runs if it has not ended: a third of the jobs could not be requeued."""
    wanted = Filter(JobState.FAILED)
    chunks = tuple(range(batch.chunk_count))
    operation = Operation(
        batch.batch_id,
        operation_id,
        "requeue",
        wanted,
        "operator",
        "the server is back",
        HOUR_AGO,
        batch.entries,
        chunks,
        OperationState.DONE if ended_at else OperationState.RUNNING,
        ended_at,
        not_requeueable=9,
    )
    operations.put_new(operation, batch.state)
    s3 = boto3.client("s3")
    for number in chunks:
        outcomes = [
            JobOutcome(each.address.job_id, ACCEPTED)
            if each.address.position % 3
            else JobOutcome(each.address.job_id, REFUSED, "its result could not be stored")
            for each in jobs.of_chunk(batch.batch_id, number)
        ]
        rows.put_outcomes(s3, settings, operation, number, outcomes)


def _system(settings: Settings) -> None:
    """Every alarm, one of them active, and a dead letter of each kind."""
    for runbook in RUNBOOKS:
        for name in runbook.alarms:
            state = "ALARM" if name == "DeadLettersAlarm" else "OK"
            put_alarm(f"{settings.stack}-Monitoring-1ABC-{name}-2DEF", state)
    put_letter(settings, manifest_event(), ERROR_MESSAGE=_LONG)
    put_letter(settings, failed_invocation(mail_event()))
    put_letter(settings, execution_event())
    put_letter(settings, "not an event")


def _schedules(number: int) -> Schedule:
    for each in range(number - 1):
        zone = ("UTC", "Europe/Berlin", "America/Los_Angeles")[each % 3]
        at = f"{each % 24:02}:{each * 7 % 60:02}"
        rule = {"kind": "daily", "at": at, "zone": zone, "anchor": "2026-11-25"}
        a_schedule(rule, title=f"{_TITLES[each % 3]} {each + 1}")
    calendar = calendar_of({"name": "holidays", "title": "Holidays", "exclude": ["2026-12-25"]})
    changes = (CalendarChange("put", HOUR_AGO, "admin", "the year's holidays", "r1"),)
    calendars.put(StoredCalendar(calendar, 1, changes))
    rule = {"kind": "daily", "at": "09:00", "zone": "America/Los_Angeles", "anchor": "2026-11-01"}
    schedule = a_schedule(rule, title="A nightly sweep of voters", since=NOW - 12 * _DAY)
    for days in range(11, 0, -1):
        now = NOW.replace(hour=17, minute=0, second=20) - days * _DAY
        scheduled_for = now.replace(second=0, microsecond=0)
        minute(schedule, now)
        if days != 5:
            state = "failed" if days in {2, 7} else "succeeded"
            work(schedule.job_address(scheduled_for), state, now, timedelta(minutes=days))
    return schedule


def _acts(batch: Batch) -> None:
    events = ("requeue", "hold", "release", "cancel", "run_now")
    reasons = ("the server is back", "", _LONG, "問い合わせのため", "wrong manifest")
    for number in range(200):
        at, event = NOW - timedelta(minutes=13 * number + 2), events[number % 5]
        subject = Subject("batch", batch.batch_id, NAMES[number % len(NAMES)])
        if event == "requeue":
            subject = Subject("job", batch.batch_id, NAMES[0], 1 + number * 9)
        reason, cause = reasons[number % 5], f"act-{number}"
        activity.put(Act(at, "operator", sub_of("operator"), event, subject, reason, cause))


def _rates() -> None:
    for number, (at, more) in enumerate(_moments()):
        more += JobTotals.of_starts([timedelta(seconds=number * 3 + each) for each in range(3)])
        rates.add(0, more, Usage(write_units=3.0 * more.ended, transitions=more.ended // 20))
        rates.put_sample(rates.totals(), 3, at, f"0.2.0+8f5a6a2{number // 50}")


def _moments() -> "list[tuple[datetime, JobTotals]]":
    """A busy day: when it was sampled, with what happened since the sample before."""
    found = []
    for number in range(120):
        at = NOW - timedelta(minutes=12 * (119 - number))
        busy = round(700 + 500 * sin(number / 9) + 120 * sin(number * 1.7))
        found.append((at, JobTotals(busy + 60, busy + 40, busy // 9 if 70 < number < 84 else 2)))
    return found
