"""The lifecycle of a fix-up: work on what the machine or a reviewer found in an edit job.

The edit job waits for it, merges it, and is checked again. So a fix-up never changes a dataset.
"""

from enum import StrEnum
from functools import partial

from jobyard.domain.lifecycle import (
    MACHINE,
    Lifecycle,
    State,
    StateType,
    Transition,
    event_senders,
)


class FixupState(StrEnum):
    """The state of a fix-up; `FIXUP` describes each."""

    ALLOCATED = "allocated"
    ACTIVATED = "activated"
    PREPARED = "prepared"
    DOWNLOADED = "downloaded"
    UPLOADED = "uploaded"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


_S = FixupState
_by = partial(event_senders, "fixup")


def _state(state: FixupState, type_: StateType, description: str) -> State:
    return State(state, type_, description, {"edit": state.value.upper()})


FIXUP = Lifecycle(
    name="fixup",
    initial=_S.ALLOCATED,
    states=(
        _state(
            _S.ALLOCATED,
            StateType.INTERACTION,
            "Made by the machine or a review, for the worker of the edit job. A worker activates "
            "it; a planner may give it to another one.",
        ),
        _state(
            _S.ACTIVATED,
            StateType.TRANSIENT,
            "A worker has claimed it. The machine writes its package.",
        ),
        _state(
            _S.PREPARED, StateType.INTERACTION, "Its package is ready. Its worker downloads it."
        ),
        _state(
            _S.DOWNLOADED,
            StateType.INTERACTION,
            "Its worker has the package and edits. They upload what they made of it; the machine "
            "reads the file, and accepts or refuses it.",
        ),
        _state(
            _S.UPLOADED,
            StateType.TRANSIENT,
            "The edits are stored. The machine merges them into the edit job, or gives them back.",
        ),
        _state(
            _S.COMPLETED, StateType.TERMINAL, "Merged into the edit job, which is checked again."
        ),
        _state(_S.ABANDONED, StateType.TERMINAL, "A planner abandoned the edit job."),
    ),
    transitions=(
        Transition(_S.ALLOCATED, "allocate", _S.ALLOCATED, _by("allocate")),
        Transition(_S.ALLOCATED, "activate", _S.ACTIVATED, _by("activate")),
        Transition(_S.ACTIVATED, "prepare", _S.PREPARED, (MACHINE,)),
        Transition(_S.ACTIVATED, "revert", _S.ALLOCATED, (MACHINE,)),
        Transition(_S.PREPARED, "download", _S.DOWNLOADED, _by("download")),
        Transition(_S.PREPARED, "relinquish", _S.ALLOCATED, _by("relinquish")),
        Transition(_S.PREPARED, "allocate", _S.ALLOCATED, _by("allocate")),
        Transition(_S.DOWNLOADED, "download", _S.DOWNLOADED, _by("download")),
        Transition(_S.DOWNLOADED, "upload", _S.DOWNLOADED, _by("upload")),
        Transition(_S.DOWNLOADED, "accept", _S.UPLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "refuse", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "relinquish", _S.ALLOCATED, _by("relinquish")),
        Transition(_S.DOWNLOADED, "allocate", _S.ALLOCATED, _by("allocate")),
        Transition(_S.UPLOADED, "revert", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.UPLOADED, "complete", _S.COMPLETED, (MACHINE,)),
        *(
            Transition(state, "abandon", _S.ABANDONED, (MACHINE,))
            for state in (_S.ALLOCATED, _S.ACTIVATED, _S.PREPARED, _S.DOWNLOADED, _S.UPLOADED)
        ),
    ),
)
