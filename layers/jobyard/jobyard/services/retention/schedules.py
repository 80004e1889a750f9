"""Archive a schedule's occurrences and their jobs, a whole month at a time.

Before a month is archived, the schedule records that its jobs are retained only from the next month
on. From then on nobody changes the month's jobs. The checkpoint that counts
deletions is written in their transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from jobyard.domain.archive import Inventory, archive_folder, record_line
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.domain.schedules.occurrence import (
    Occurrence,
    Verdict,
    first_of_month,
    month_after,
)
from jobyard.domain.schedules.schedule import Schedule
from jobyard.services.retention.archive import Archive, NotArchivable
from jobyard.services.retention.work_slice import (
    Bookmark,
    RetentionContext,
    WorkSlice,
    retention_of,
)
from jobyard.store import jobs, occurrences, reports, schedules
from jobyard.store.transactions import MAX_ITEMS

SCHEDULES_PER_READ = 100
OCCURRENCES_PER_PART = 5000
_REMOVED_AT_ONCE = (MAX_ITEMS - 1) // 2  # occurrences removed in one transaction, each with its job
_TRIES = 5  # to write a schedule that others change at the same time


def next_bookmark(after: str, context: RetentionContext) -> Bookmark | None:
    """Check the next schedules after the id `after` for a month that is due.

    Returns a bookmark of the first such month, or of the next schedules to check; None after the
    last schedule.
    """
    found = schedules.list_all(SCHEDULES_PER_READ, after)
    for schedule in found:
        month = _freeze_due_month(schedule, context)
        if month:
            return {"after": after, "schedule": schedule.schedule_id, "month": month}
        after = schedule.schedule_id
    return {"after": after} if found else None


def _freeze_due_month(schedule: Schedule, context: RetentionContext) -> str:
    """The schedule's oldest month, as YYYY-MM, if all of it ended long enough ago; "" if not.

    Before it is returned, the schedule records that it no longer retains this month.
    """
    since = context.now() - retention_of(schedule.job_type)
    limit = first_of_month(since)
    if schedule.created_at >= limit:
        return ""
    for _ in range(_TRIES):
        schedule_id = schedule.schedule_id
        oldest = next(occurrences.older(schedule_id, limit, limit=1), None)
        if oldest is None:
            return ""
        until = month_after(oldest.scheduled_for)
        if any(_is_too_recent(each, since) for each in occurrences.older(schedule_id, until)):
            return ""
        try:
            if schedule.retained_from is None or schedule.retained_from < until:
                schedules.write(schedule, schedule.retaining_from(until))
        except StaleState:
            schedule = schedules.get(schedule_id)
            continue
        return f"{oldest.scheduled_for:%Y-%m}"
    return ""  # others change it too fast; the next run tries again


def _is_too_recent(occurrence: Occurrence, since: datetime) -> bool:
    """Whether an occurrence's job is open, or has ended after `since`."""
    if occurrence.outcome:
        return occurrence.outcome.ended_at > since
    return occurrence.verdict is not Verdict.SKIP or occurrence.decided_at > since


def archive_next_part(bookmark: Bookmark, context: RetentionContext) -> WorkSlice:
    """Write a schedule's month to the archive, or delete some of its written occurrences."""
    try:
        schedule = schedules.get(bookmark["schedule"])
    except NotFound:
        return WorkSlice({"after": bookmark["schedule"]})
    until = month_after(datetime.fromisoformat(f"{bookmark['month']}-01T00:00:00+00:00"))
    try:
        if "folder" not in bookmark:
            return _archive_month(schedule, until, bookmark, context)
        return _remove_occurrences(schedule, until, bookmark, context)
    except NotArchivable as reason:
        failed = (f"{schedule.schedule_id} {bookmark['month']}", str(reason))
        return WorkSlice({"after": schedule.schedule_id}, failures=[failed])


def _archive_month(
    schedule: Schedule, until: datetime, bookmark: Bookmark, context: RetentionContext
) -> WorkSlice:
    found = [*occurrences.older(schedule.schedule_id, until)]
    if not found:
        return WorkSlice({"after": bookmark["after"]})
    first = found[0].address
    # Named by its first occurrence: occurrences added after a month was archived get a new folder.
    folder = archive_folder(
        schedule.job_type, found[0].scheduled_for, schedule.schedule_id, str(first.position)
    )
    archive = context.archive(folder)
    found_jobs = _jobs_of(found)
    names = []
    for number, some in enumerate(_in_parts(found)):
        names.append(f"occurrences-{number:05d}.jsonl.gz")
        lines = (text for each in some for text in _lines(each, found_jobs.get(each.address)))
        archive.write(names[-1], lines)
    parts = tuple(archive.part(name) for name in names)
    summary = {
        "schedule_id": schedule.schedule_id,
        "title": schedule.title,
        "job_type": schedule.job_type,
        "rule": schedule.rule.document(),
        "month": bookmark["month"],
    }
    archive.seal(Inventory(schedule.schedule_id, summary, context.now(), parts))
    return WorkSlice({**bookmark, "folder": folder})


def _remove_occurrences(
    schedule: Schedule, until: datetime, bookmark: Bookmark, context: RetentionContext
) -> WorkSlice:
    found = [*occurrences.older(schedule.schedule_id, until, limit=_REMOVED_AT_ONCE)]
    if not found:
        sent = reports.of_batch(schedule.schedule_id)
        reports.remove([each for each in sent if each.created_at < until])
        return WorkSlice({"after": bookmark["after"]})  # check the same schedule for another month
    archive: Archive = context.archive(bookmark["folder"])
    found_jobs = _jobs_of(found)
    names = [part.name for part in archive.inventory().parts]
    archive.ensure(
        names, [text for each in found for text in _lines(each, found_jobs.get(each.address))]
    )
    deletions = [occurrences.deletion(each) for each in found]
    deletions += [jobs.deletion(each) for each in found_jobs.values()]
    return WorkSlice(bookmark, processed=len(found), items=deletions)


def _jobs_of(found: Sequence[Occurrence]) -> dict[JobAddress, JobRecord]:
    """The jobs of the occurrences that have one, by address."""
    first, last = found[0].address, found[-1].address
    wanted = {each.address for each in found}
    found_jobs = jobs.of_chunk(first.origin_id, 0, first=first.position, last=last.position)
    return {job.address: job for job in found_jobs if job.address in wanted}


def _lines(occurrence: Occurrence, job: JobRecord | None) -> list[bytes]:
    job_id = occurrence.address.job_id
    lines = [record_line("occurrence", occurrence, job_id=job_id)]
    return [*lines, record_line("job", job, job_id=job_id)] if job else lines


def _in_parts(found: Sequence[Occurrence]) -> list[Sequence[Occurrence]]:
    return [
        found[at : at + OCCURRENCES_PER_PART] for at in range(0, len(found), OCCURRENCES_PER_PART)
    ]
