"""Fetches an object's files into the archive, and continues where an earlier attempt stopped."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.plurals import plural
from jobyard.jobtypes.deposit import payloads, receipts
from jobyard.jobtypes.deposit.container_limits import MAX_OBJECT_BYTES
from jobyard.jobtypes.deposit.containers import Container
from jobyard.jobtypes.deposit.content import SMALL_BYTES, Staged, Stored, Wanted, stage, store
from jobyard.jobtypes.deposit.file_list import File
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.deposit.refusal import Refused, RetryLater
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import StorageContext

_CONCURRENT_FILES = 4  # of one object


def fetch_one(
    step_input: StepInput, context: StorageContext, file: File, staged_as: str = "file"
) -> Stored:
    """Fetch one file and store it.

    Raises:
        Refused: the file cannot be stored.
        FetchRefused: the file cannot be fetched.
    """
    with _opened(file, context) as blocks:
        return store(blocks, file.wanted, staging(step_input.job_id, staged_as), context)


def fetch_all(
    step_input: StepInput, context: StorageContext, files: tuple[File, ...]
) -> tuple[Stored, ...]:
    """Fetch the files of an object that are not stored yet.

    Raises:
        Refused, FetchRefused: as `fetch_one`.
        RetryLater: the worker's time is up, but some files were stored; the next attempt continues.
    """
    saved = _Receipts(step_input.job_id, context)
    for position in range(0, len(files), receipts.FILES_PER_PAGE):
        saved.load_page(position)
        page_files = enumerate(files[position : position + receipts.FILES_PER_PAGE], start=position)
        missing = {each: file for each, file in page_files if each not in saved.stored}
        with saved.saving_on_error():
            _fetch_missing(missing, saved, step_input, context)
    return receipts.write_list(step_input.job_id, saved.all(), context)


def unpack(step_input: StepInput, context: StorageContext, file: File) -> tuple[Stored, ...]:
    """Fetch a container and store the members that are not stored yet.

    Remarks about the container are saved in the receipts.

    Raises:
        Refused, FetchRefused, RetryLater: as `fetch_all`.
    """
    saved = _Receipts(step_input.job_id, context)
    staged = receipts.read_container(step_input.job_id, context)
    if staged is None:
        staged = _stage_container(step_input, context, file)
        saved.added += 1
    reader = StagedReader(context.s3, context.work_bucket, staged, context.remaining)
    container = Container(file.wanted.name, staged.size, reader, context.remaining)
    with saved.saving_on_error():
        for position, member in enumerate(container.members()):
            if position % receipts.FILES_PER_PAGE == 0:
                saved.load_page(position)
            if position not in saved.stored:
                key = staging(step_input.job_id, "member")
                saved.add(position, store(member.blocks, Wanted(member.name), key, context))
    receipts.write_remarks(step_input.job_id, container.remarks, context)
    return receipts.write_list(step_input.job_id, saved.all(), context)


def _stage_container(step_input: StepInput, context: StorageContext, file: File) -> Staged:
    with _opened(file, context) as blocks:
        staged = stage(blocks, file.wanted, staging(step_input.job_id, "container"), context)
    receipts.write_container(step_input.job_id, staged, context)
    return staged


@contextmanager
def _opened(file: File, context: StorageContext) -> Iterator[Iterator[bytes]]:
    try:
        with payloads.opened(file.url, context) as payload:
            yield payloads.blocks(payload, file.wanted)
    except FetchRefused as refusal:
        raise refusal.about(file.wanted.name) from refusal


class _Receipts:
    """The receipts of a job's files, a page at a time. `added` counts those of this attempt."""

    def __init__(self, job_id: str, context: StorageContext) -> None:
        self._job_id = job_id
        self._context = context
        self._done: list[Stored] = []
        self._number = 0
        self._bytes = 0
        self._is_unsaved = False
        self.stored: dict[int, Stored] = {}
        self.added = 0

    def load_page(self, position: int) -> None:
        """Save the current page, and load the page that starts at this position."""
        self._save()
        self._done += self._in_order()
        self._number = position // receipts.FILES_PER_PAGE
        self.stored = receipts.read_page(self._job_id, self._number, self._context)
        self._bytes += sum(stored.size for stored in self.stored.values())

    def add(self, position: int, stored: Stored) -> None:
        """Add a stored file. After a large file, the page is saved at once.

        Raises:
            Refused: TOO_LARGE, all files together are too large.
        """
        self.stored[position] = stored
        self._is_unsaved = True
        self.added += 1
        self._bytes += stored.size
        if stored.size > SMALL_BYTES:
            self._save()
        if self._bytes > MAX_OBJECT_BYTES:
            message = f"the object has more than {MAX_OBJECT_BYTES} bytes"
            raise Refused(Failure.TOO_LARGE, message)

    def all(self) -> list[Stored]:
        """All stored files, in order. The last page is not saved: the whole list comes next."""
        return [*self._done, *self._in_order()]

    @contextmanager
    def saving_on_error(self) -> Iterator[None]:
        """Save the page if the block raises. If files were stored before, continue later."""
        try:
            yield
        except (Refused, FetchRefused) as refusal:
            self._save()
            files = plural(self.added, "file")
            if refusal.code is Failure.TIMEOUT and self.added:
                message = f"{files} arrived in this attempt; the next attempt continues from there"
                raise RetryLater(0, message) from refusal
            wait_s = refusal.requested_wait_s if isinstance(refusal, FetchRefused) else None
            if wait_s is not None and self.added:
                message = f"{files} arrived; {refusal.message}"
                raise RetryLater(wait_s, message, has_progressed=True) from refusal
            raise

    def _in_order(self) -> list[Stored]:
        return [stored for _, stored in sorted(self.stored.items())]

    def _save(self) -> None:
        if self._is_unsaved:
            receipts.write_page(self._job_id, self._number, self.stored, self._context)
            self._is_unsaved = False


def _fetch_missing(
    missing: dict[int, File], saved: _Receipts, step_input: StepInput, context: StorageContext
) -> None:
    """Fetch files, several at once. After a refusal no more fetches start.

    The exception is a server that asks to wait: an archive on tape gets all requests at once.

    Raises:
        Refused, FetchRefused: of several, one that no retry can help; else one of a server that
            does not ask to wait; else that of the first file.
    """
    refused: list[tuple[bool, bool, int, Refused | FetchRefused]] = []
    with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
        futures: dict[Future[Stored], int] = {
            pool.submit(fetch_one, step_input, context, file, f"files/{position}"): position
            for position, file in missing.items()
        }
        for future in as_completed(futures):
            if future.cancelled():
                continue
            try:
                saved.add(futures[future], future.result())
            except (Refused, FetchRefused) as refusal:
                waits = isinstance(refusal, FetchRefused) and refusal.requested_wait_s is not None
                refused.append((refusal.retryable, waits, futures[future], refusal))
                if not waits:
                    for each in futures:
                        each.cancel()
    if refused:
        raise min(refused)[3]
