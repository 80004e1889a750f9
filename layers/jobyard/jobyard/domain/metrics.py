"""All metrics that Jobyard emits, with their dimensions. A test checks the alarms against them.

CloudWatch bills each combination of dimension values as a metric, so ids are never dimensions.
"""

from collections.abc import Mapping

NAMESPACE = "Jobyard"

JOBS_SUCCEEDED = "JobsSucceeded"
JOBS_FAILED = "JobsFailed"
JOBS_FAILED_TOTAL = "JobsFailedTotal"  # of all job types, for the alarm
JOBS_FAILED_BY_CODE = "JobsFailedByCode"
BATCH_DURATION_SECONDS = "BatchDurationSeconds"
OPEN_BATCHES = "OpenBatches"
OLDEST_OPEN_BATCH_AGE_SECONDS = "OldestOpenBatchAgeSeconds"
QUEUE_AGE_SECONDS = "QueueAgeSeconds"
UNDELIVERED_REPORTS = "UndeliveredReports"
RUNS_FAILED_OR_MISSED = "RunsFailedOrMissed"
MISPLACED_MANIFESTS = "MisplacedManifests"
STUCK_EDITS = "StuckEdits"

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    JOBS_SUCCEEDED: ("service", "job_type"),
    JOBS_FAILED: ("service", "job_type"),
    JOBS_FAILED_TOTAL: ("service",),
    JOBS_FAILED_BY_CODE: ("service", "job_type", "failure_code"),
    BATCH_DURATION_SECONDS: ("service",),
    OPEN_BATCHES: ("service",),
    OLDEST_OPEN_BATCH_AGE_SECONDS: ("service",),
    QUEUE_AGE_SECONDS: ("service",),
    UNDELIVERED_REPORTS: ("service",),
    RUNS_FAILED_OR_MISSED: ("service",),
    MISPLACED_MANIFESTS: ("service",),
    STUCK_EDITS: ("service",),
}
