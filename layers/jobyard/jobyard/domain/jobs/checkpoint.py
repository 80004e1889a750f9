"""The progress of a job that needs more time than one worker has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobyard.domain.text import clean

MAX_NAMED_FAILURES = 10  # failed records whose keys are kept
# In a job's result: the number of the file that lists its failed records, and how many it lists.
FAILED_FILE = "failed_records"
_KEY_BYTES = 256  # of the key of a failed record
_REASON_BYTES = 256  # of the reason why it failed


def failed_file_key(job_id: str, number: int) -> str:
    """The key, in the work bucket, of a file that lists failed records of a job."""
    return f"failed-records/{job_id}/{number}.jsonl"


def _cleaned(failure: tuple[str, str]) -> tuple[str, str]:
    key, reason = failure
    return clean(key, _KEY_BYTES), clean(reason, _REASON_BYTES)


@dataclass(frozen=True)
class Checkpoint:
    """How many records a job has processed, and where it continues. `version` is 0 until stored.

    `processed` and `failed` count each record once. `cursor` is what the job type needs to
    continue, as JSON, empty at the start. `ended` says that no record is left. `failures` are the
    first `MAX_NAMED_FAILURES` records that failed, in order, as (key, reason). `failed_part` names
    what the job type has stored about all of them; "" if nothing.
    """

    job_id: str
    version: int = 0
    processed: int = 0
    failed: int = 0
    cursor: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    failures: tuple[tuple[str, str], ...] = ()
    failed_part: str = ""

    @property
    def total(self) -> int:
        """The number of records so far."""
        return self.processed + self.failed

    @property
    def counts(self) -> dict[str, int | None]:
        """The counts for the job's result; the total is None until the end."""
        total = self.total if self.ended else None
        return {"processed": self.processed, "failed": self.failed, "total": total}

    def advanced(
        self, processed: int, failures: Sequence[tuple[str, str]], cursor: Mapping[str, Any]
    ) -> "Checkpoint":
        """The checkpoint after more records. An empty `cursor` means that no record is left."""
        return replace(
            self,
            version=self.version + 1,
            processed=self.processed + processed,
            failed=self.failed + len(failures),
            cursor=cursor,
            ended=not cursor,
            failures=(*self.failures, *map(_cleaned, failures[:MAX_NAMED_FAILURES]))[
                :MAX_NAMED_FAILURES
            ],
        )

    def next_pass(self) -> "Checkpoint":
        """The checkpoint from which a requeued job reads its records again, for those that failed.
        The processed ones stay counted.
        """
        return replace(self, failed=0, cursor={}, ended=False, failures=(), failed_part="")
