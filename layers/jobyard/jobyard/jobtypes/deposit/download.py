"""Brings an object's files into the archive, and resumes where an earlier attempt stopped."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.plurals import plural
from jobyard.jobtypes.deposit import payloads, receipts
from jobyard.jobtypes.deposit.container_limits import MAX_OBJECT_BYTES
from jobyard.jobtypes.deposit.containers import Container
from jobyard.jobtypes.deposit.content import SMALL_BYTES, Staged, Stored, Wanted, keep, stage
from jobyard.jobtypes.deposit.file_list import File
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.deposit.refusal import NotYet, Refused
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import StorageContext

_AT_ONCE = 4  # files of one object on their way


def fetch_one(
    step_input: StepInput, context: StorageContext, file: File, staged_as: str = "file"
) -> Stored:
    """Fetch one file and store it.

    Raises:
        Refused: the file cannot be stored.
        FetchRefused: the file cannot be fetched.
    """
    with _opened(file, context) as blocks:
        return keep(blocks, file.wanted, staging(step_input.job_id, staged_as), context)


def fetch_all(
    step_input: StepInput, context: StorageContext, files: tuple[File, ...]
) -> tuple[Stored, ...]:
    """Fetch the files of an object that are not stored yet.

    Raises:
        Refused, FetchRefused: as `fetch_one`, for the file that decides.
        NotYet: the worker's time is up, but some files were stored; the next attempt continues.
    """
    sheets = _Sheets(step_input.job_id, context)
    for place in range(0, len(files), receipts.SHEET):
        sheets.turn_to(place)
        here = enumerate(files[place : place + receipts.SHEET], start=place)
        missing = {each: file for each, file in here if each not in sheets.noted}
        with sheets.kept():
            _fetch_missing(missing, sheets, step_input, context)
    return receipts.conclude(step_input.job_id, sheets.all(), context)


def unpack(step_input: StepInput, context: StorageContext, file: File) -> tuple[Stored, ...]:
    """Fetch a container and store the members that are not stored yet.

    Remarks about the container are saved in the receipts.

    Raises:
        Refused, FetchRefused, NotYet: as `fetch_all`.
    """
    sheets = _Sheets(step_input.job_id, context)
    staged = receipts.container(step_input.job_id, context)
    if staged is None:
        staged = _stage_container(step_input, context, file)
        sheets.fresh += 1
    reader = StagedReader(context.s3, context.work_bucket, staged, context.remaining)
    container = Container(file.wanted.name, staged.size, reader, context.remaining)
    with sheets.kept():
        for place, member in enumerate(container.members()):
            if place % receipts.SHEET == 0:
                sheets.turn_to(place)
            if place not in sheets.noted:
                staged_as = staging(step_input.job_id, "member")
                sheets.add(place, keep(member.blocks, Wanted(member.name), staged_as, context))
    receipts.note_remarks(step_input.job_id, container.remarks, context)
    return receipts.conclude(step_input.job_id, sheets.all(), context)


def _stage_container(step_input: StepInput, context: StorageContext, file: File) -> Staged:
    with _opened(file, context) as blocks:
        staged = stage(blocks, file.wanted, staging(step_input.job_id, "container"), context)
    receipts.note_container(step_input.job_id, staged, context)
    return staged


@contextmanager
def _opened(file: File, context: StorageContext) -> Iterator[Iterator[bytes]]:
    try:
        with payloads.opened(file.url, context) as payload:
            yield payloads.blocks(payload, file.wanted)
    except FetchRefused as refusal:
        raise refusal.about(file.wanted.name) from refusal


class _Sheets:
    """The receipts of a job's files, a sheet at a time. `fresh` counts what this attempt added."""

    def __init__(self, job_id: str, context: StorageContext) -> None:
        self._job_id = job_id
        self._context = context
        self._done: list[Stored] = []
        self._number = 0
        self._bytes = 0
        self._unwritten = False
        self.noted: dict[int, Stored] = {}
        self.fresh = 0

    def turn_to(self, place: int) -> None:
        """Load the sheet that begins with this position."""
        self._write()
        self._done += self._in_order()
        self._number = place // receipts.SHEET
        self.noted = receipts.sheet(self._job_id, self._number, self._context)
        self._bytes += sum(stored.size for stored in self.noted.values())

    def add(self, place: int, stored: Stored) -> None:
        """Note a stored file. After a large file, the sheet is written at once.

        Raises:
            Refused: TOO_LARGE, the files are too large together.
        """
        self.noted[place] = stored
        self._unwritten = True
        self.fresh += 1
        self._bytes += stored.size
        if stored.size > SMALL_BYTES:
            self._write()
        if self._bytes > MAX_OBJECT_BYTES:
            words = f"the object has more than {MAX_OBJECT_BYTES} bytes"
            raise Refused(Failure.TOO_LARGE, words)

    def all(self) -> list[Stored]:
        """All noted files, in order. The last sheet is not written: the whole list follows."""
        return [*self._done, *self._in_order()]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the sheet if the block raises. If time is up and files came, continue later."""
        try:
            yield
        except (Refused, FetchRefused) as refusal:
            self._write()
            if refusal.code is Failure.TIMEOUT and self.fresh:
                came = plural(self.fresh, "file")
                words = f"{came} came in this attempt; the next attempt continues from there"
                raise NotYet(0, words) from refusal
            again_s = refusal.requested_wait_s if isinstance(refusal, FetchRefused) else None
            if again_s is not None and self.fresh:
                words = f"{plural(self.fresh, 'file')} came; {refusal.message}"
                raise NotYet(again_s, words, has_progressed=True) from refusal
            raise

    def _in_order(self) -> list[Stored]:
        return [stored for _, stored in sorted(self.noted.items())]

    def _write(self) -> None:
        if self._unwritten:
            receipts.note(self._job_id, self._number, self.noted, self._context)
            self._unwritten = False


def _fetch_missing(
    missing: dict[int, File], sheets: _Sheets, step_input: StepInput, context: StorageContext
) -> None:
    """Fetch files, several at once. After a refusal no more fetches start.

    A server that says when to come again is the exception: all files that come from tape are
    requested together.

    Raises:
        Refused, FetchRefused: the one that decides: first one that no retry can help, then one
            without a time to come again, then the earliest.
    """
    refused: list[tuple[bool, bool, int, Refused | FetchRefused]] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        going: dict[Future[Stored], int] = {
            pool.submit(fetch_one, step_input, context, file, f"files/{place}"): place
            for place, file in missing.items()
        }
        for future in as_completed(going):
            if future.cancelled():
                continue
            try:
                sheets.add(going[future], future.result())
            except (Refused, FetchRefused) as refusal:
                waits = isinstance(refusal, FetchRefused) and refusal.requested_wait_s is not None
                refused.append((refusal.retryable, waits, going[future], refusal))
                if not waits:
                    for each in going:
                        each.cancel()
    if refused:
        raise min(refused)[3]
