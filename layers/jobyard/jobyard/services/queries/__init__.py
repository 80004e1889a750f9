"""Reads. A row without a record is a job that is scheduled: views lay the records over the rows."""

from jobyard.services.queries.backlog import Backlog, backlog
from jobyard.services.queries.batches import BatchList, BatchView, batch, list_batches
from jobyard.services.queries.calendars import calendar, list_calendars
from jobyard.services.queries.collections import (
    CollectionView,
    collection,
    collection_views,
    list_collections,
)
from jobyard.services.queries.costs import cost, schedule_cost
from jobyard.services.queries.history import history
from jobyard.services.queries.holds import hold, list_holds
from jobyard.services.queries.job_types import list_job_types
from jobyard.services.queries.jobs import JobList, JobView, job, list_jobs
from jobyard.services.queries.reports import (
    LINKED,
    OperationView,
    link_to,
    list_findings,
    list_reports,
    operation,
)
from jobyard.services.queries.schedules import (
    UPCOMING,
    WAITING,
    OccurrenceView,
    ScheduleDetails,
    ScheduleView,
    details,
    list_occurrences,
    list_schedules,
    list_times,
    occurrence,
    occurrence_of,
    schedule,
)

__all__ = [
    "LINKED",
    "UPCOMING",
    "WAITING",
    "Backlog",
    "BatchList",
    "BatchView",
    "CollectionView",
    "JobList",
    "JobView",
    "OccurrenceView",
    "OperationView",
    "ScheduleDetails",
    "ScheduleView",
    "backlog",
    "batch",
    "calendar",
    "collection",
    "collection_views",
    "cost",
    "details",
    "history",
    "hold",
    "job",
    "link_to",
    "list_batches",
    "list_calendars",
    "list_collections",
    "list_findings",
    "list_holds",
    "list_job_types",
    "list_jobs",
    "list_occurrences",
    "list_reports",
    "list_schedules",
    "list_times",
    "occurrence",
    "occurrence_of",
    "operation",
    "schedule",
    "schedule_cost",
]
