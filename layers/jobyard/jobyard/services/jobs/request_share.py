"""The share in requests to hosts of a worker that has no lease of a run: one that runs tasks of a
campaign, or the job of a schedule.
"""

from dataclasses import dataclass
from typing import Any

from jobyard.domain.jobs.job_type import JobType
from jobyard.services.batches.worker_leases import count_worker, uncount_worker
from jobyard.services.jobs.worker import Worker


@dataclass(frozen=True)
class RequestShare:
    """A worker's share of `requests_per_host`, which all workers divide. `key` is the worker's name
    among them. For a job type that makes no requests, it does nothing.
    """

    key: str
    worker: Worker
    job_type: JobType[Any]

    def renew(self) -> None:
        """Take the share, or renew it, and read which hosts other workers found busy."""
        if self._makes_requests:
            worker = self.worker
            count_worker(self.key, worker.http.hosts, worker.settings, worker.now())

    def release(self) -> None:
        """Give the share back."""
        if self._makes_requests:
            uncount_worker(self.key, self.worker.http.hosts, self.worker.now())

    @property
    def _makes_requests(self) -> bool:
        return "http" in self.job_type.context.__dataclass_fields__
