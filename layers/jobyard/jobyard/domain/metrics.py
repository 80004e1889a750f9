"""The metrics Jobyard emits, their dimensions, and nothing else: alarms are checked against this.

Each set of dimensions is a metric that is paid for every month, so ids are never among them.
"""

from collections.abc import Mapping

NAMESPACE = "Jobyard"

JOBS_SUCCEEDED = "JobsSucceeded"
JOBS_FAILED = "JobsFailed"
JOBS_FAILED_IN_ALL = "JobsFailedInAll"  # of every type: the alarm watches this one
JOBS_FAILED_BY_CODE = "JobsFailedByCode"
BATCH_SECONDS = "BatchSeconds"
OPEN_BATCHES = "OpenBatches"
OLDEST_OPEN_BATCH_SECONDS = "OldestOpenBatchSeconds"
QUEUE_AGE_SECONDS = "QueueAgeSeconds"
UNDELIVERED_REPORTS = "UndeliveredReports"
RUNS_FAILED_OR_MISSED = "RunsFailedOrMissed"
MANIFESTS_ASTRAY = "ManifestsAstray"

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    JOBS_SUCCEEDED: ("service", "job_type"),
    JOBS_FAILED: ("service", "job_type"),
    JOBS_FAILED_IN_ALL: ("service",),
    JOBS_FAILED_BY_CODE: ("service", "job_type", "failure_code"),
    BATCH_SECONDS: ("service",),
    OPEN_BATCHES: ("service",),
    OLDEST_OPEN_BATCH_SECONDS: ("service",),
    QUEUE_AGE_SECONDS: ("service",),
    UNDELIVERED_REPORTS: ("service",),
    RUNS_FAILED_OR_MISSED: ("service",),
    MANIFESTS_ASTRAY: ("service",),
}
