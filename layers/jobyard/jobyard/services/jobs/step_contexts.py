"""Building what a step is given: one function for each class that a job type may declare."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from jobyard.domain.collection import Collection
from jobyard.jobtypes.step_context import (
    HttpContext,
    MaintenanceContext,
    StepContext,
    StorageContext,
    TableContext,
)
from jobyard.store import checkpoints, objects, tables

if TYPE_CHECKING:
    from jobyard.services.jobs.runner import Worker

Context = TypeVar("Context", bound=StepContext)
_Remaining = Callable[[], float]
_FindCollection = Callable[[], Collection | None]


def build_context(
    declared: type[Context],
    worker: "Worker",
    remaining: _Remaining,
    collection: _FindCollection,
) -> Context:
    """The context of the class that a job type declares, for one attempt.

    Raises:
        KeyError: there is no function for the class.
    """
    context = _BUILDERS[declared](worker, remaining, collection)
    assert isinstance(context, declared)
    return context


def _step(worker: "Worker", remaining: _Remaining, _: _FindCollection) -> StepContext:
    return StepContext(worker.now, remaining)


def _http(worker: "Worker", remaining: _Remaining, _: _FindCollection) -> HttpContext:
    return HttpContext(worker.now, remaining, worker.http)


def _storage(
    worker: "Worker", remaining: _Remaining, collection: _FindCollection
) -> StorageContext:
    return StorageContext(
        worker.now,
        remaining,
        http=worker.http,
        s3=worker.s3,
        s3_sources=worker.settings.s3_sources,
        work_bucket=worker.settings.work_bucket,
        archive_bucket=worker.settings.archive_bucket,
        objects=objects,
        collection=collection,
    )


def _table(worker: "Worker", remaining: _Remaining, _: _FindCollection) -> TableContext:
    return TableContext(
        worker.now,
        remaining,
        dynamodb=tables.client(),
        sweep_tables=worker.settings.sweep_tables,
        checkpoints=checkpoints,
    )


def _maintenance(worker: "Worker", remaining: _Remaining, _: _FindCollection) -> MaintenanceContext:
    return MaintenanceContext(worker.now, remaining, checkpoints, worker.maintenance)


_BUILDERS: Mapping[
    type[StepContext], Callable[["Worker", _Remaining, _FindCollection], StepContext]
] = {
    StepContext: _step,
    HttpContext: _http,
    StorageContext: _storage,
    TableContext: _table,
    MaintenanceContext: _maintenance,
}
