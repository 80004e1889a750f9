"""How far a job came that goes through more than one worker's time allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobyard.domain.text import clean

MAX_NAMED_FAILURES = 10  # of the records that failed, those that are told of by their key


_KEY_BYTES = 256  # of the key of a record that failed
_WHY_BYTES = 256  # of why it did


def _told(failure: tuple[str, str]) -> tuple[str, str]:
    key, why = failure
    return clean(key, _KEY_BYTES), clean(why, _WHY_BYTES)


@dataclass(frozen=True)
class Checkpoint:
    """What a job has done to its records, and where it goes on. Version 0: nothing was written.

    `processed` and `failed` count records, each once. `place` is what the job type needs to go on,
    as JSON, empty at the beginning; `ended` says that there is nothing left to go on with.
    `failures` are the first `MAX_NAMED_FAILURES` records that failed, in order, as (key, reason).
    """

    job_id: str
    version: int = 0
    processed: int = 0
    failed: int = 0
    cursor: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """The records gone through."""
        return self.processed + self.failed

    @property
    def counts(self) -> dict[str, int | None]:
        """The counts as the job's result has them; nobody knows the total until the end."""
        total = self.total if self.ended else None
        return {"processed": self.processed, "failed": self.failed, "total": total}

    def advanced(
        self, processed: int, failures: Sequence[tuple[str, str]], place: Mapping[str, Any]
    ) -> "Checkpoint":
        """The checkpoint after some more records, at a new place; an empty one is the end."""
        return replace(
            self,
            version=self.version + 1,
            processed=self.processed + processed,
            failed=self.failed + len(failures),
            cursor=place,
            ended=not place,
            failures=(*self.failures, *map(_told, failures[:MAX_NAMED_FAILURES]))[
                :MAX_NAMED_FAILURES
            ],
        )

    def next_pass(self) -> "Checkpoint":
        """The checkpoint before another pass, over what failed: nothing of it has failed yet."""
        return replace(self, failed=0, cursor={}, ended=False, failures=())
