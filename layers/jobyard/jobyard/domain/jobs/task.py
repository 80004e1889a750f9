"""A task: the part of a job that concerns one target.

A job of a batch has one task, and each task of a campaign is stored as a job of its own. So a task
needs no record: its state follows from that of its job. Its lifecycle has the states that
Connectivity Suite shows.
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
            "Created with its job or campaign. A worker starts it; in a campaign, when window and "
            "rate allow.",
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
            "An attempt failed, or a part of one ended: its window closed, or a step waits. Or a "
            "person requeued it. A worker starts it again when it is due.",
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
            "No retry is left, or its campaign expired. A person requeues its job.",
            _labels("Failed"),
        ),
        State(
            _S.CANCELLED,
            StateType.TERMINAL,
            "Its job was cancelled, replaced or deleted before it succeeded.",
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
    """The state of the task of a job that has one, from the state of the job."""
    waiting = _S.RESCHEDULED if job.attempts else _S.SCHEDULED
    return _STATE_BY_JOB_STATE.get(job.state, waiting)
