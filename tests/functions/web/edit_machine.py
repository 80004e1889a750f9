"""The machine of edit jobs on moto, where no executions run: its tasks are called here."""

from typing import Any

from jobyard.services.edits.context import EditContext
from jobyard.services.edits.tasks import task_of
from jobyard.services.executions import Executions
from jobyard.services.machines.edit import (
    EditStep,
    EditTask,
    run_check,
    run_commit,
    run_prepare,
)
from jobyard.store import edits
from jobyard.store.due_work import due_edits
from tests.functions.web.browser import Browser

_ROUNDS = 2  # a fix-up is merged, then its edit job is checked


class _Events:
    """An event bus that takes everything."""

    def put_events(self, **_: Any) -> dict[str, Any]:
        """The answer of EventBridge when nothing failed."""
        return {"FailedEntryCount": 0, "Entries": []}


def run_machine(browser: Browser) -> None:
    """Do what the machine has to do now, and what follows from it, as its executions would."""
    for _ in range(_ROUNDS):
        _run_due(browser)


def _run_due(browser: Browser) -> None:
    for each in [*due_edits(browser.function.SITE.now())]:
        step = _step(each.job_id)
        while step.task is not EditTask.END:
            step = _run(step, _context(step, browser))


def read_file(browser: Browser, job_id: str) -> None:
    """Read the file that was uploaded to a job, and no more."""
    step = _step(job_id)
    assert step.task is EditTask.READ
    _run(step, _context(step, browser))


def _step(job_id: str) -> EditStep:
    job = edits.find(job_id)
    assert job
    found = task_of(job)
    assert found
    return EditStep(EditTask(found[0]), job_id, found[1])


def _run(step: EditStep, context: EditContext) -> EditStep:
    if step.task in {EditTask.PREPARE, EditTask.READ}:
        return run_prepare(step, context, lambda: 60.0)
    return run_check(step, context) if step.task is EditTask.CHECK else run_commit(step, context)


def _context(step: EditStep, browser: Browser) -> EditContext:
    site = browser.function.SITE
    nothing: Any = None
    return EditContext(
        site.settings,
        site.s3,
        _Events(),
        nothing,
        nothing,
        Executions(site.settings, site.machines),
        site.now,
        step.cause_key,
    )
