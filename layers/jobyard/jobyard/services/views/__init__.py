"""Reads. A row without a record is a job that is scheduled: views lay the records over the rows."""

from jobyard.services.views.looking import Looking, history
from jobyard.services.views.of_backlog import Backlog, backlog
from jobyard.services.views.of_batches import BatchView, Listed, batch, list_batches
from jobyard.services.views.of_costs import cost
from jobyard.services.views.of_holds import hold, list_holds
from jobyard.services.views.of_jobs import JobView, ListedJobs, job, list_jobs
from jobyard.services.views.of_reports import (
    LINKED,
    OperationView,
    link_to,
    list_findings,
    list_reports,
    operation,
)

__all__ = [
    "LINKED",
    "Backlog",
    "BatchView",
    "JobView",
    "Listed",
    "ListedJobs",
    "Looking",
    "OperationView",
    "backlog",
    "batch",
    "cost",
    "history",
    "hold",
    "job",
    "link_to",
    "list_batches",
    "list_findings",
    "list_holds",
    "list_jobs",
    "list_reports",
    "operation",
]
