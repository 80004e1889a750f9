"""A task: the part of a job for one target. A deposit job has one task, stored in its record.

Tasks have a lifecycle of their own, because a job with many targets continues when one of them is
done. So a job can succeed partially, and only its failed tasks are retried.
"""

from enum import StrEnum

from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.lifecycle import MACHINE, Lifecycle, State, StateType, Transition


class TaskState(StrEnum):
    """The state of a task; `TASK` describes each."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    RESCHEDULED = "rescheduled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = TaskState


def _labels(device: str) -> dict[str, str]:
    return {"device": device}


TASK = Lifecycle(
    name="task",
    initial=_S.SCHEDULED,
    states=(
        State(
            _S.SCHEDULED,
            StateType.WAITING,
            "Created with its job. The job's worker starts it.",
            _labels("Scheduled"),
        ),
        State(
            _S.RUNNING,
            StateType.TRANSIENT,
            "A worker runs its steps, from the first that has not succeeded.",
            _labels("Running"),
        ),
        State(
            _S.RESCHEDULED,
            StateType.WAITING,
            "An attempt failed, or its window closed. It is retried at a set time.",
            _labels("Rescheduled"),
        ),
        State(
            _S.SUCCEEDED,
            StateType.TERMINAL,
            "Every step succeeded or was not needed.",
            _labels("Succeeded"),
        ),
        State(
            _S.FAILED,
            StateType.INTERACTION,
            "No attempt is left. A person requeues it with its job.",
            _labels("Failed"),
        ),
        State(
            _S.CANCELLED,
            StateType.TERMINAL,
            "Its job was cancelled, replaced or deleted before it ended.",
            _labels("Cancelled"),
        ),
    ),
    transitions=(
        Transition(_S.SCHEDULED, "start", _S.RUNNING, (MACHINE,)),
        Transition(_S.SCHEDULED, "cancel", _S.CANCELLED, (MACHINE,)),
        Transition(_S.SCHEDULED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.SCHEDULED, "give_up", _S.FAILED, (MACHINE,)),
        Transition(_S.RUNNING, "succeed", _S.SUCCEEDED, (MACHINE,)),
        Transition(_S.RUNNING, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.RUNNING, "reschedule", _S.RESCHEDULED, (MACHINE,)),
        Transition(_S.RUNNING, "restart", _S.RUNNING, (MACHINE,)),
        Transition(_S.RUNNING, "cancel", _S.CANCELLED, (MACHINE,)),
        Transition(_S.RESCHEDULED, "start", _S.RUNNING, (MACHINE,)),
        Transition(_S.RESCHEDULED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.RESCHEDULED, "give_up", _S.FAILED, (MACHINE,)),
        Transition(_S.RESCHEDULED, "cancel", _S.CANCELLED, (MACHINE,)),
        Transition(_S.FAILED, "requeue", _S.RESCHEDULED, (MACHINE,)),
        Transition(_S.FAILED, "cancel", _S.CANCELLED, (MACHINE,)),
    ),
)

_STATE_BY_JOB_STATE = {
    JobState.RUNNING: _S.RUNNING,
    JobState.PAUSED: _S.RESCHEDULED,
    JobState.STOPPING: _S.RUNNING,
    JobState.SUCCEEDED: _S.SUCCEEDED,
    JobState.FAILED: _S.FAILED,
    JobState.CANCELLED: _S.CANCELLED,
    JobState.REPLACED: _S.CANCELLED,
    JobState.DELETED: _S.CANCELLED,
}


def state_of_only_task(job: JobRecord) -> TaskState:
    """The state of the only task of `job`, derived from the state of the job."""
    waiting = _S.RESCHEDULED if job.attempts else _S.SCHEDULED
    return _STATE_BY_JOB_STATE.get(job.state, waiting)
