"""A worker, and the step contexts that it builds: one function for each class of context."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from jobyard.domain.collection import Collection
from jobyard.domain.errors import Forbidden
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes.http_client import HttpClient
from jobyard.jobtypes.step_context import (
    CallContext,
    DeviceContext,
    FunctionContext,
    HttpContext,
    MaintenanceContext,
    MaintenanceTasks,
    StepContext,
    StorageContext,
    TableContext,
)
from jobyard.services.jobs.callbacks import NO_CALLBACKS, CallbackTokens
from jobyard.services.jobs.device_access import DeviceAccess
from jobyard.services.jobs.function_access import NO_FUNCTIONS, FunctionAccess
from jobyard.services.jobs.job_counter import JobCounter
from jobyard.services.settings import Settings
from jobyard.store import checkpoints, objects, tables

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Context = TypeVar("Context", bound=StepContext)
_Remaining = Callable[[], float]
_FindCollection = Callable[[], Collection | None]
_WRITE_MARGIN_S = 20.0  # of a worker's time, kept to write its results


@dataclass(frozen=True)
class Worker:
    """What a worker has: settings, clients, the clock, and the seconds until its time is over.

    `http` is the client of job types. `maintenance` returns what only the system's own jobs need.
    `request_id` is that of its invocation. `devices` has what tasks on devices need, `functions`
    has the functions that jobs may invoke, and `callbacks` the tokens for their callbacks.
    `job_counter` counts what this worker starts and ends. `pause` waits for that many seconds.
    `threads` run the steps: as many as jobs run at the same time, shared by the invocations of a
    process.
    """

    settings: Settings
    s3: "S3Client"
    http: HttpClient
    now: Callable[[], datetime]
    remaining: Callable[[], float]
    maintenance: Callable[[], MaintenanceTasks]
    request_id: str
    devices: DeviceAccess
    threads: Executor
    job_counter: JobCounter = field(default_factory=JobCounter, compare=False)
    pause: Callable[[float], None] = time.sleep
    functions: FunctionAccess = NO_FUNCTIONS
    callbacks: CallbackTokens = NO_CALLBACKS

    def step_context(
        self, job_type: JobType[Context], collection: Callable[[], Collection | None] = lambda: None
    ) -> Context:
        """The job type's context, with the capabilities it declares, for an attempt from now on.

        Its `remaining` also ends at the job type's time limit.
        """
        began = self.now()

        def remaining() -> float:
            until_limit = job_type.time_limit - (self.now() - began).total_seconds()
            return min(until_limit, self.remaining() - _WRITE_MARGIN_S)

        return _build_context(job_type.context, self, remaining, collection)

    def is_out_of_time(self) -> bool:
        """Whether it has to stop now, to write its results."""
        return self.remaining() < _WRITE_MARGIN_S


def no_maintenance() -> MaintenanceTasks:
    """Refuses what only system jobs may do, in workers of all other jobs.

    Raises:
        Forbidden: always.
    """
    raise Forbidden("system jobs run in a function of their own")


def _build_context(
    declared: type[Context],
    worker: Worker,
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


def _step(worker: Worker, remaining: _Remaining, _: _FindCollection) -> StepContext:
    return StepContext(worker.now, remaining)


def _http(worker: Worker, remaining: _Remaining, _: _FindCollection) -> HttpContext:
    return HttpContext(worker.now, remaining, worker.http)


def _device(worker: Worker, remaining: _Remaining, _: _FindCollection) -> DeviceContext:
    access = worker.devices
    return DeviceContext(
        worker.now,
        remaining,
        http=worker.http,
        devices=access.http,
        credentials=access.credentials,
    )


def _call(worker: Worker, remaining: _Remaining, _: _FindCollection) -> CallContext:
    return CallContext(
        worker.now,
        remaining,
        http=worker.http,
        credentials=partial(_credentials, worker),
    )


def _credentials(worker: Worker, name: str) -> Mapping[str, Any] | None:
    """The JSON object in a secret, if its name shows that it is for calls."""
    is_for_calls = name.startswith(worker.settings.call_secrets)
    return worker.devices.credentials(name) if is_for_calls else None


def _function(worker: Worker, remaining: _Remaining, _: _FindCollection) -> FunctionContext:
    return FunctionContext(
        worker.now,
        remaining,
        functions=worker.functions,
        callbacks=worker.callbacks,
        callback_url=f"{worker.settings.url}/api/callbacks",
    )


def _storage(worker: Worker, remaining: _Remaining, collection: _FindCollection) -> StorageContext:
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


def _table(worker: Worker, remaining: _Remaining, _: _FindCollection) -> TableContext:
    return TableContext(
        worker.now,
        remaining,
        dynamodb=tables.client(),
        sweep_tables=worker.settings.sweep_tables,
        checkpoints=checkpoints,
        s3=worker.s3,
        work_bucket=worker.settings.work_bucket,
    )


def _maintenance(worker: Worker, remaining: _Remaining, _: _FindCollection) -> MaintenanceContext:
    return MaintenanceContext(worker.now, remaining, checkpoints, worker.maintenance)


_BUILDERS: Mapping[
    type[StepContext], Callable[[Worker, _Remaining, _FindCollection], StepContext]
] = {
    StepContext: _step,
    HttpContext: _http,
    DeviceContext: _device,
    CallContext: _call,
    FunctionContext: _function,
    StorageContext: _storage,
    TableContext: _table,
    MaintenanceContext: _maintenance,
}
