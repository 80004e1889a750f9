"""The key of a cause: what made a move, written down with it, so that a repeat is recognized.

A request's key is one word. A run's pass over a job is `run.p1.c0.t2`: pass, chunk, start. A prefix
names what the machine does to a whole batch or schedule, a suffix how a job lost its turn.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What the machine does to a whole batch or schedule, not to one job."""

    NONE = ""
    SETTLE = "settle"  # after a pass
    STALLED = "stalled"  # after too many passes in which nothing moved
    OPEN = "open"  # subject: the execution that opens it
    OPENED = "opened"  # subject: the execution that has read the manifest
    UPLOADED = "landed"  # subject: the version of the object
    REPORT = "report"  # subject: the batch's version


class Interruption(StrEnum):
    """How a job lost its turn without a worker that says so."""

    NONE = ""
    ORPHANED = "lost"  # its worker vanished
    REPLACED = "replaced"  # a newer job of its schedule took its place


_WITH_SUBJECT = frozenset({Action.OPEN, Action.OPENED, Action.UPLOADED, Action.REPORT})
_FORM = re.compile(r"([\w-]+)(?:\.p(\d+)\.c(\d+)\.t(\d+))?(?:\.(lost|replaced))?", re.ASCII)


@dataclass(frozen=True)
class CauseKey:
    """A parsed key. `run` is the run's name, or the whole of a request's key.

    `pass_number` and `attempt` count from 1, and are 0 where the key has none; `chunk` counts
    from 0. `subject` is what an action with a subject is about; such a key has no run.
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
        """The key that `text` is, as `str` wrote it. Text of no known form is a request's key."""
        head, _, rest = text.partition(".")
        action = Action(head) if rest and head in {*Action} else Action.NONE
        if action in _WITH_SUBJECT:
            return cls(action=action, subject=rest)
        found = _FORM.fullmatch(rest if action else text)
        if not found:
            return cls(run=text)
        run, number, chunk, attempt, turn = found.groups()
        return cls(
            run,
            int(number or 0),
            int(chunk or 0),
            int(attempt or 0),
            action,
            Interruption(turn or ""),
        )

    @property
    def is_request(self) -> bool:
        """Whether a person's request made the move, not the machine."""
        return str(self) == self.run
