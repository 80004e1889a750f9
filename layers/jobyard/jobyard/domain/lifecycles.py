"""All lifecycles by name."""

from jobyard.domain.batches.batch import BATCH
from jobyard.domain.edits.edit_job import EDIT
from jobyard.domain.edits.fixup import FIXUP
from jobyard.domain.edits.review import REVIEW
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JOB
from jobyard.domain.jobs.task import TASK
from jobyard.domain.lifecycle import Lifecycle
from jobyard.domain.schedules.schedule import SCHEDULE

LIFECYCLES = {
    lifecycle.name: lifecycle for lifecycle in (BATCH, JOB, TASK, SCHEDULE, EDIT, FIXUP, REVIEW)
}


def lifecycle_named(name: str) -> Lifecycle:
    """The lifecycle called `name`.

    Raises:
        NotFound: no lifecycle has that name; the message lists the names.
    """
    try:
        return LIFECYCLES[name]
    except KeyError:
        known = ", ".join(LIFECYCLES)
        raise NotFound(f"no lifecycle is called {name!r}; there are {known}") from None
