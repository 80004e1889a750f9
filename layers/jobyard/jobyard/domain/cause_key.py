"""The key of a cause: it is stored with a move, so that a repeat of the move is recognized.

A request's key is a word. `run.p1.c0.t2` is the second attempt (`t`) in chunk 0 in the first pass
of a run. A prefix names what the machine does to a whole batch, schedule or campaign, a suffix
why the machine took a job away from its worker.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What the machine does to a whole batch, schedule or campaign, not to one job."""

    NONE = ""
    SETTLE = "settle"  # after a pass
    STALLED = "stalled"  # after too many passes without progress
    OPEN = "open"  # subject: the execution that opens the batch
    OPENED = "opened"  # subject: the execution that has read the manifest
    UPLOADED = "landed"  # subject: the version of the manifest in S3
    REPORT = "report"  # subject: the batch's version


class Interruption(StrEnum):
    """Why an attempt ended without a result of its worker."""

    NONE = ""
    ORPHANED = "lost"  # its worker vanished
    REPLACED = "replaced"  # a newer job of its schedule replaced it


MAIN_RUN = "main"  # the first run of a batch or of a schedule's job; others have a request's id
_WITH_SUBJECT = frozenset({Action.OPEN, Action.OPENED, Action.UPLOADED, Action.REPORT})
_FORM = re.compile(r"([\w-]+)(?:\.p(\d+)\.c(\d+)\.t(\d+))?(?:\.(lost|replaced))?", re.ASCII)


@dataclass(frozen=True)
class CauseKey:
    """A parsed key. `run` is the run's name, or the whole key of a request.

    `pass_number` and `attempt` count from 1 and are 0 if the key has none; `chunk` counts from 0.
    A key with a `subject` has no run.
    """

    run: str = ""
    pass_number: int = 0
    chunk: int = 0
    attempt: int = 0
    action: Action = Action.NONE
    interruption: Interruption = Interruption.NONE
    subject: str = ""

    def __str__(self) -> str:
        run = self.run
        if self.pass_number:
            run = f"{run}.p{self.pass_number}.c{self.chunk}.t{self.attempt}"
        return ".".join(filter(None, (self.action, self.subject, run, self.interruption)))

    @classmethod
    def parse(cls, text: str) -> "CauseKey":
        """Parse what `str` wrote. Text of any other form is a request's key."""
        head, _, rest = text.partition(".")
        action = Action(head) if rest and head in {*Action} else Action.NONE
        if action in _WITH_SUBJECT:
            return cls(action=action, subject=rest)
        found = _FORM.fullmatch(rest if action else text)
        if not found:
            return cls(run=text)
        run, pass_number, chunk, attempt, interruption = found.groups()
        return cls(
            run,
            int(pass_number or 0),
            int(chunk or 0),
            int(attempt or 0),
            action,
            Interruption(interruption or ""),
        )

    @property
    def is_request(self) -> bool:
        """Whether a person's request caused the move, not the machine."""
        return str(self) == self.run
