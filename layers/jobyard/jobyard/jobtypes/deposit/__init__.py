"""The deposit job type: what a manifest names is brought into the archive. See docs/deposit.md."""

from jobyard.domain.job import JobState
from jobyard.domain.jobtype import JobType, RetryPolicy
from jobyard.jobtypes.deposit.identity import lock
from jobyard.jobtypes.deposit.steps import STEPS

# Merritt's words for what becomes of a job.
_WORDS = {
    JobState.SCHEDULED: "Pending",
    JobState.HELD: "Held",
    JobState.RUNNING: "Processing",
    JobState.SUCCEEDED: "Completed",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
    JobState.DELETED: "Deleted",
}

DEPOSIT = JobType(
    name="deposit",
    title="Deposit",
    steps=STEPS,
    retry=RetryPolicy(retries=3, first=5.0, factor=4.0, longest=900.0),
    words={state.value: word for state, word in _WORDS.items()},
    lock=lock,
)
