"""Group commit of job records: threads that write at the same time share one call."""

from concurrent.futures import Future
from threading import Lock

from jobyard.domain.jobs.job import JobRecord
from jobyard.store import jobs


class WriteGroup:
    """Writes job records for many threads.

    While one call is in flight, further changes wait for the next call. So a busy worker makes
    fewer calls, and a single write is not delayed. If a call fails, all of its changes fail.
    """

    def __init__(self) -> None:
        self._in_flight = Lock()
        self._guard = Lock()
        self._waiting: list[tuple[JobRecord, JobRecord, Future[JobRecord | None]]] = []

    def write(self, before: JobRecord, after: JobRecord) -> JobRecord | None:
        """Write `after` over `before`. Returns the stored record, None if someone else was first.

        Raises:
            RuntimeError, ClientError: the call failed, as `jobs.write_many` says.
        """
        future: Future[JobRecord | None] = Future()
        with self._guard:
            self._waiting.append((before, after, future))
        with self._in_flight:
            if not future.done():
                self._write_waiting()
        return future.result()

    def _write_waiting(self) -> None:
        with self._guard:
            group, self._waiting = self._waiting, []
        try:
            stored = jobs.write_many([(before, after) for before, after, _ in group])
        except BaseException as error:
            for _, _, future in group:
                future.set_exception(error)
            return
        for (_, _, future), record in zip(group, stored, strict=True):
            future.set_result(record)
