"""What is sent when a job of a schedule has failed: a mail to the people that the schedule names,
and calls of webhooks. They are stored in one write with the end of the job.
"""

from datetime import datetime

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.mail_text import MailText, short, time_text
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.domain.schedules.schedule import REMINDED_AFTER, Schedule
from jobyard.domain.text import clean
from jobyard.domain.webhooks import WebhookEvent
from jobyard.services.reports.webhooks import deliveries_about, links
from jobyard.services.settings import Settings

_AGAIN = (
    f"Again when a run fails after one that succeeded, or if one still fails "
    f"{REMINDED_AFTER.total_seconds() // 3600:.0f} hours from now"
)


def failure_reports(
    schedule: Schedule, occurrence: Occurrence, job: JobRecord, now: datetime, settings: Settings
) -> list[Report]:
    """The reports about a job that has ended, the next of its schedule by number; none unless it
    failed. `schedule` is as it was before.
    """
    if job.state is not JobState.FAILED:
        return []
    number = schedule.report_count + 1
    found = deliveries_about(
        WebhookEvent.SCHEDULE_JOB_FAILED,
        schedule.schedule_id,
        number,
        now,
        {
            "schedule_id": schedule.schedule_id,
            "job_id": job.address.job_id,
            "title": schedule.title,
            "job_type": occurrence.job_type,
            "failure_code": job.failure_code,
            "failure_message": job.failure_message,
            "scheduled_for": occurrence.scheduled_for.isoformat(),
            "links": links(f"jobs/{job.address.job_id}", settings),
        },
    )
    if schedule.is_failure_mail_due(now):
        found.append(_mail(schedule, occurrence, job, number, now, settings))
    return found


def _mail(
    schedule: Schedule,
    occurrence: Occurrence,
    job: JobRecord,
    number: int,
    now: datetime,
    settings: Settings,
) -> Report:
    instance = f" [{settings.instance}]" if settings.instance else ""
    code = job.failure_code
    description = Failure(code).description if code in {*Failure} else ""
    facts = [
        ("Schedule", schedule.title),
        ("Runs", occurrence.job_type),
        ("Due at", time_text(occurrence.scheduled_for)),
        ("Failed at", time_text(job.at)),
        ("Failure", f"{code}: {description}" if description else code),
        ("Message", job.failure_message or "-"),
        ("Sent", _AGAIN),
    ]
    text = MailText(
        clean(f"Jobyard{instance}: a run of {short(schedule.title)} failed"),
        "FAIL",
        "A run of a schedule failed",
        [(name, short(value)) for name, value in facts],
        (),
        [
            ("Job", f"{settings.url}/jobs/{job.address.job_id}"),
            ("Schedule", f"{settings.url}/schedules/{schedule.schedule_id}"),
        ],
    )
    return Report(
        batch_id=schedule.schedule_id,
        seq=number,
        kind=ReportKind.FAILED_RUN,
        created_at=now,
        to=schedule.notify,
        subject=text.subject,
        outcome="",
        counts={},
        changed_count=0,
        files={},
        delivery=Delivery(DeliveryState.QUEUED, now),
        texts={"mail.txt": text.as_text(), "report.html": text.as_html()},
    )
