"""Reports, schedules and batches as the handlers find them in the tables."""

from datetime import UTC, datetime, timedelta

from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, Policy, Schedule, ScheduleState
from jobyard.store import batches, reports, schedules, tables
from tests.functions.invocations import BUCKETS

NOW = datetime.now(UTC)


def a_report(batch_id: str, state: DeliveryState) -> Report:
    return reports.put_new(
        Report(
            batch_id,
            1,
            ReportKind.FIRST,
            NOW,
            ("a@example.org",),
            f"subject {batch_id}",
            "OK",
            {"succeeded": 1},
            0,
            {"mail.txt": f"{batch_id}.txt", "report.html": f"{batch_id}.html"},
            Delivery(state, NOW),
        )
    )


def a_due_schedule(
    name: str,
    due: timedelta,
    missed: MissedPolicy = MissedPolicy.LATEST,
    state: ScheduleState = ScheduleState.ACTIVE,
) -> Schedule:
    """A daily schedule that has been due for a while, and no other."""
    for noun in ("batches", "holds", "schedules"):
        for item in tables.MODELS[noun].scan():
            item.delete()  # other tests', whose machines do not exist here
    at = (datetime.now(UTC) - due).replace(second=0, microsecond=0)
    rule = {"kind": "daily", "at": f"{at:%H:%M}", "zone": "UTC", "anchor": f"{at:%Y-%m-%d}"}
    return schedules.put_new(
        Schedule(
            schedule_id=f"s{name:a<20}",
            state=state,
            version=1,
            title=name,
            job_type="sweep",
            rule=recurrence_of(rule),
            policy=Policy(CatchUp(missed)),
            owner="admin",
            created_at=at,
            next_at=at,
        )
    )


def an_orphaned_batch(batch_id: str) -> None:
    """A batch that no execution has worked on for an hour."""
    source = ManifestSource(BUCKETS[0], f"manifests/fn/{batch_id}.checkm", "v1", 1)
    since = datetime.now(UTC) - timedelta(hours=1)
    batch = Batch(
        batch_id=batch_id,
        state=BatchState.PENDING,
        version=0,
        collection="fn",
        submitter="s3",
        job_type="deposit",
        filename=f"{batch_id}.checkm",
        submitted_at=since,
        source=source,
    )
    batches.put_new(batch)
