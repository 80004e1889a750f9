"""The machine of edit jobs on moto, where no executions run: its tasks are called here."""

from typing import Any

from jobyard.domain.edits.edit_job import EditState
from jobyard.services.edits.context import EditContext
from jobyard.services.executions import Executions
from jobyard.services.machines.edit import (
    EditStep,
    EditTask,
    run_check,
    run_commit,
    run_prepare,
)
from jobyard.store import edits
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
    for each in [*edits.due(browser.function.SITE.now())]:
        job = edits.find(each.job_id)
        assert job
        task = EditTask.PREPARE if job.state == EditState.ACTIVATED else EditTask.CHECK
        step = EditStep(task, each.job_id, f"{job.attempt}-{job.version}")
        while step.task is not EditTask.END:
            step = _run(step, _context(step, browser))


def _run(step: EditStep, context: EditContext) -> EditStep:
    if step.task is EditTask.PREPARE:
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
        step.run,
    )
