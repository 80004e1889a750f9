"""The origins of jobs: one row for each, with all that services do differently for its jobs.

A new origin is a member of `domain.ids.Origin`, a row here, and the modules that its row names.
Each is imported when it is first needed: a worker needs no queries, and the API no workers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from jobyard.domain.errors import NotFound
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import JobAddress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobyard.domain.batches.chunks import Chunk
    from jobyard.services.batches.open_context import OpenContext
    from jobyard.services.batches.settle import SettleContext
    from jobyard.services.context import Actor
    from jobyard.services.executions import Executions
    from jobyard.services.jobs.origin import JobOrigin
    from jobyard.services.jobs.runner import AttemptOutcome
    from jobyard.services.jobs.source import JobSource
    from jobyard.services.jobs.worker import Worker
    from jobyard.services.pending_work import RecoveredPage
    from jobyard.services.reports.context import ReportContext
    from jobyard.services.reports.report import ReportProgress
    from jobyard.services.runs import ExecutionRun, NextStep, Waits

    _Resume = Callable[[str, str, ExecutionRun, OpenContext], NextStep]
    _RunChunk = Callable[[str, Chunk, ExecutionRun, Worker], list[AttemptOutcome]]
    _Settle = Callable[[str, ExecutionRun, SettleContext, Waits], NextStep]
    _Report = Callable[[str, ReportContext], ReportProgress]
    _JobSource = Callable[[JobAddress, ExecutionRun, Worker], JobSource]
    _GiveUpJob = Callable[[JobAddress, ExecutionRun, datetime], bool]
    _SettleJob = Callable[[JobAddress, ExecutionRun, SettleContext], NextStep]
    _JobOrigin = Callable[[JobAddress, Actor, datetime], JobOrigin]
    _Recover = Callable[[str, Executions, datetime], int]
    _RecoverPage = Callable[[str, str, Executions, datetime], RecoveredPage]


class OriginServices(Protocol):
    """The functions that an origin gives to the services of all jobs."""

    @property
    def job_source(self) -> "_JobSource":
        """Returns the source of one job, for the worker that runs it. Raises NotFound, Gone."""

    @property
    def give_up_job(self) -> "_GiveUpJob":
        """Fails a job that its execution could not end, if the run still owns it. Returns whether
        it did.
        """

    @property
    def settle_job(self) -> "_SettleJob":
        """Settles the origin of a job that has ended; returns the execution's next step."""

    @property
    def job_origin(self) -> "_JobOrigin":
        """Returns the origin of a job, for people. Raises NotFound, Gone, Forbidden."""

    @property
    def recover(self) -> "_Recover":
        """Recovers the orphaned work of an origin by its id; how many executions were started."""

    @property
    def recovery_lists(self) -> tuple[str, ...]:
        """The lists that a full recovery checks one after the other, such as batches in a state. No
        other origin has lists of these names.
        """

    @property
    def recover_page(self) -> "_RecoverPage":
        """Recovers a page of such a list, after a position in it ("": the first)."""


class ChunkedOrigin(OriginServices, Protocol):
    """The functions of an origin whose jobs are in chunks, which the batch machine runs."""

    @property
    def resume(self) -> "_Resume":
        """Takes the first step of an execution that was started for a command."""

    @property
    def run_chunk(self) -> "_RunChunk":
        """Runs one pass over the jobs of a chunk."""

    @property
    def settle(self) -> "_Settle":
        """Decides what comes after a pass, which began at a time; None: after none."""

    @property
    def report(self) -> "_Report":
        """Writes and mails the report that is due, or a slice of a large one."""


class _Batches:
    @property
    def resume(self) -> "_Resume":
        from jobyard.services.batches.resume import resume

        return resume

    @property
    def run_chunk(self) -> "_RunChunk":
        from jobyard.services.batches.chunk_source import run_chunk

        return run_chunk

    @property
    def settle(self) -> "_Settle":
        from jobyard.services.batches.settle import settle

        return settle

    @property
    def report(self) -> "_Report":
        from jobyard.services.reports.report import report

        return report

    @property
    def job_source(self) -> "_JobSource":
        from jobyard.services.batches.chunk_source import job_source

        return job_source

    @property
    def give_up_job(self) -> "_GiveUpJob":
        from jobyard.services.batches.orphans import give_up_job

        return give_up_job

    @property
    def settle_job(self) -> "_SettleJob":
        from jobyard.services.batches.settle import settle_job

        return settle_job

    @property
    def job_origin(self) -> "_JobOrigin":
        from jobyard.services.batches.job_origin import batch_origin

        return batch_origin

    @property
    def recover(self) -> "_Recover":
        from jobyard.services.batches.recovery import recover_batch

        return recover_batch

    @property
    def recovery_lists(self) -> tuple[str, ...]:
        from jobyard.services.batches.recovery import BATCH_LISTS

        return BATCH_LISTS

    @property
    def recover_page(self) -> "_RecoverPage":
        from jobyard.services.batches.recovery import recover_page

        return recover_page


class _Schedules:
    @property
    def job_source(self) -> "_JobSource":
        from jobyard.services.schedules.occurrence_source import job_source

        return job_source

    @property
    def give_up_job(self) -> "_GiveUpJob":
        from jobyard.services.schedules.jobs import give_up_job

        return give_up_job

    @property
    def settle_job(self) -> "_SettleJob":
        from jobyard.services.schedules.jobs import settle_execution

        return settle_execution

    @property
    def job_origin(self) -> "_JobOrigin":
        from jobyard.services.schedules.job_origin import schedule_origin

        return schedule_origin

    @property
    def recover(self) -> "_Recover":
        from jobyard.services.schedules.recovery import recover_schedule

        return recover_schedule

    @property
    def recovery_lists(self) -> tuple[str, ...]:
        from jobyard.services.schedules.recovery import SCHEDULE_LISTS

        return SCHEDULE_LISTS

    @property
    def recover_page(self) -> "_RecoverPage":
        from jobyard.services.schedules.recovery import recover_page

        return recover_page


class _Campaigns:
    @property
    def resume(self) -> "_Resume":
        from jobyard.services.campaigns.open import resume

        return resume

    @property
    def run_chunk(self) -> "_RunChunk":
        from jobyard.services.campaigns.task_source import run_chunk

        return run_chunk

    @property
    def settle(self) -> "_Settle":
        from jobyard.services.campaigns.settle import settle

        return settle

    @property
    def report(self) -> "_Report":
        from jobyard.services.reports.campaign_report import report

        return report

    @property
    def job_source(self) -> "_JobSource":
        from jobyard.services.campaigns.task_source import job_source

        return job_source

    @property
    def give_up_job(self) -> "_GiveUpJob":
        return lambda _address, _run, _now: False

    @property
    def settle_job(self) -> "_SettleJob":
        from jobyard.services.campaigns.settle import settle_job

        return settle_job

    @property
    def job_origin(self) -> "_JobOrigin":
        from jobyard.services.campaigns.job_origin import campaign_origin

        return campaign_origin

    @property
    def recover(self) -> "_Recover":
        from jobyard.services.campaigns.recovery import recover_campaign

        return recover_campaign

    @property
    def recovery_lists(self) -> tuple[str, ...]:
        from jobyard.services.campaigns.recovery import CAMPAIGN_LISTS

        return CAMPAIGN_LISTS

    @property
    def recover_page(self) -> "_RecoverPage":
        from jobyard.services.campaigns.recovery import recover_page

        return recover_page


_BATCHES, _CAMPAIGNS = _Batches(), _Campaigns()
CHUNKED: Mapping[Origin, ChunkedOrigin] = {Origin.BATCH: _BATCHES, Origin.CAMPAIGN: _CAMPAIGNS}
ORIGINS: Mapping[Origin, OriginServices] = {
    Origin.BATCH: _BATCHES,
    Origin.SCHEDULE: _Schedules(),
    Origin.CAMPAIGN: _CAMPAIGNS,
}


def job_origin(job_id: str, actor: "Actor", now: "datetime") -> "JobOrigin":
    """The origin of a job, if `actor` may see the job.

    Raises:
        NotFound, Gone: there is no such job, or the actor may not see it. Forbidden: they may not
            see jobs of this kind.
    """
    address = JobAddress.parse(job_id)
    if address is None:
        forms = "BATCH.CHUNK.POSITION, CAMPAIGN.CHUNK.POSITION or SCHEDULE.0.TIME"
        raise NotFound(f"{job_id!r} is not a job id: {forms}")
    return ORIGINS[address.origin].job_origin(address, actor, now)
