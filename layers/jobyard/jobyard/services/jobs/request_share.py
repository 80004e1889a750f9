"""The share in requests to hosts of a worker without a lease: of tasks, or of a schedule's job."""

from dataclasses import dataclass
from typing import Any

from jobyard.domain.jobs.job_type import JobType
from jobyard.services.batches.worker_leases import count_worker, uncount_worker
from jobyard.services.jobs.worker import Worker


@dataclass(frozen=True)
class RequestShare:
    """Counts a worker as `key` while it runs jobs of a type that makes requests; others cost
    nothing.
    """

    key: str
    worker: Worker
    job_type: JobType[Any]

    def renew(self) -> None:
        """Take a share, or renew it, and learn which hosts are busy."""
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
