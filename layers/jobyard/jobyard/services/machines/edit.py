"""The edit machine: what it does for an edit job, task by task, until a person has to act.

A task here is one state of the state machine (prepare, check, …), not a campaign's task for one
target. Each returns the next one.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.errors import (
    BadRequest,
    Gone,
    InvalidRule,
    InvalidTransition,
    JobyardError,
    NotFound,
    StaleState,
)
from jobyard.domain.ids import is_child_id
from jobyard.services.edits.batch import run_batch
from jobyard.services.edits.clean_up import clean_up
from jobyard.services.edits.commit import ReadyCommit, commit_changes
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.give_up import give_up
from jobyard.services.edits.prepare import prepare
from jobyard.services.edits.publish import publish
from jobyard.services.edits.read_file import read_file
from jobyard.store import edits
from jobyard.store.edits import Job

MAX_LOST_RACES = 20  # of commits in a row; then its worker uploads again


class EditTask(StrEnum):
    """What the machine does next."""

    PREPARE = "prepare"
    BATCH = "batch"
    READ = "read"
    CHECK = "check"
    COMMIT = "commit"
    PUBLISH = "publish"
    CLEAN_UP = "clean_up"
    END = "end"


class LostRaces(JobyardError):
    """Other commits came first, more than `MAX_LOST_RACES` times in a row."""


@dataclass(frozen=True)
class EditStep:
    """What the machine does next, and what it needs to know for it.

    `number` is part of the cause of the task's moves, so that a task that is done again has another
    one: ATTEMPT or ATTEMPT-CHECKS of the job, say (services/edits/tasks.py). `revision`, `digest`,
    `merged` and `version` are those of a `ReadyCommit`; `losses` counts the commits that came
    first. `error` is that of the last task, as Step Functions reports it.
    """

    task: EditTask
    job_id: str
    number: str
    revision: int = 0
    digest: str = ""
    merged: str = ""
    version: int = 0
    losses: int = 0
    error: Any = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "EditStep":
        """The step in the machine's document.

        Raises:
            KeyError: a field is missing.
        """
        return cls(
            EditTask(document["task"]),
            document["job_id"],
            document["number"],
            document.get("revision", 0),
            document.get("digest", ""),
            document.get("merged", ""),
            document.get("version", 0),
            document.get("losses", 0),
            document.get("error"),
        )

    @property
    def cause_key(self) -> str:
        """The key of the cause of the task's moves."""
        return f"{self.task}-{self.number}"

    def document(self) -> dict[str, Any]:
        """The step as the machine carries it."""
        document = asdict(self)
        del document["error"]
        return {**document, "task": self.task.value}

    def then(self, task: EditTask, **changes: Any) -> "EditStep":
        """The next step."""
        return replace(self, task=task, **changes)


def run_prepare(step: EditStep, context: EditContext, remaining: Callable[[], float]) -> EditStep:
    """Run the task `prepare`, `batch` or `read`: write the package of a job or child; in batch mode
    have a function or a URL edit it too; or read the file that was uploaded to it.
    """
    if step.task is EditTask.READ:
        return _after_reading(step, read_file(step.job_id, context))
    try:
        if step.task is not EditTask.BATCH:
            prepare(step.job_id, context)
            return step.then(EditTask.END)
        job = run_batch(step.job_id, context, remaining)
    except (BadRequest, Gone, InvalidTransition, NotFound) as error:
        give_up(step.job_id, str(error), context)
        return step.then(EditTask.END)
    if job.state is not EditState.UPLOADED:
        return step.then(EditTask.END)
    return step.then(EditTask.CHECK, number=f"{job.attempt}-{job.checks}")


def _after_reading(step: EditStep, job: Job | None) -> EditStep:
    """What follows when a file was read: a check, if it was accepted."""
    if job is None or job.state != EditState.UPLOADED:
        return step.then(EditTask.END)
    number = job.version if isinstance(job, ChildJob) else job.checks
    return step.then(EditTask.CHECK, number=f"{job.attempt}-{number}")


def run_check(step: EditStep, context: EditContext) -> EditStep:
    """Check the changes of a job; merge what was uploaded to a child into its job.

    Raises:
        LostRaces: other commits came first, more than `MAX_LOST_RACES` times in a row.
    """
    # Shapely takes a third of a second to load; the other functions do without it.
    from jobyard.services.edits.check import check
    from jobyard.services.edits.merge_child import merge_child

    if step.losses > MAX_LOST_RACES:
        raise LostRaces(f"{step.losses} other commits came first: {step.job_id} is not committed")
    try:
        if is_child_id(step.job_id):
            merge_child(step.job_id, context)
            return step.then(EditTask.END)
        ready = check(step.job_id, context)
    except InvalidRule as error:
        problem = f"the rules of the dataset have an error, which an admin can correct: {error}"
        give_up(step.job_id, problem, context)
        return step.then(EditTask.END)
    except (BadRequest, InvalidTransition) as error:
        give_up(step.job_id, str(error), context)
        return step.then(EditTask.END)
    if ready is None:
        return step.then(_after(edits.get(step.job_id)))
    return step.then(
        EditTask.COMMIT,
        revision=ready.revision,
        digest=ready.digest,
        merged=ready.merged,
        version=ready.version,
    )


def run_commit(step: EditStep, context: EditContext) -> EditStep:
    """Run the task `commit`, `publish` or `clean_up`: commit what was checked, publish what is
    committed, or remove the files of an attempt.
    """
    match step.task:
        case EditTask.COMMIT:
            ready = ReadyCommit(step.job_id, step.revision, step.digest, step.merged, step.version)
            if not commit_changes(ready, context):
                return step.then(EditTask.CHECK, losses=step.losses + 1)
        case EditTask.PUBLISH:
            publish(step.job_id, context)
        case _:
            attempt = int(step.number.partition("-")[0])
            clean_up(step.job_id, attempt, context)
            return step.then(EditTask.END)
    return step.then(_after(edits.get(step.job_id)))


def _after(job: EditJob) -> EditTask:
    """What follows the state of a job."""
    if job.state is EditState.COMMITTED:
        return EditTask.PUBLISH
    return EditTask.CLEAN_UP if job.state is EditState.PUBLISHED else EditTask.END


def run_give_up(step: EditStep, execution: str, context: EditContext) -> EditStep:
    """Take a job back after a task failed (Step Functions caught its error). People see no more
    than the task's name: the error may name parts of the deployment.
    """
    if isinstance(step.error, Mapping) and step.error.get("Error") == LostRaces.__name__:
        problem = f"{MAX_LOST_RACES} other commits came first: upload it again"
    else:
        problem = f"the machine failed to {step.task.replace('_', ' ')}: see execution {execution}"
    try:
        give_up(step.job_id, problem, context)
    except StaleState:  # somebody changed the job meanwhile: once more, from its new state
        give_up(step.job_id, problem, context)
    return step.then(EditTask.END)
