"""The lifecycle of a review: a person decides about the package or the changes of an edit job."""

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


class ReviewState(StrEnum):
    """The state of a review; `REVIEW` describes each."""

    ALLOCATED = "allocated"
    ACTIVATED = "activated"
    PREPARED = "prepared"
    DOWNLOADED = "downloaded"
    APPROVED = "approved"
    CORRECTIONS_REQUIRED = "corrections_required"
    DISCARDED = "discarded"
    ABANDONED = "abandoned"


_S = ReviewState
_by = partial(event_senders, "review")


def _state(state: ReviewState, type_: StateType, description: str) -> State:
    return State(state, type_, description, {"edit": state.value.upper().replace("_", " ")})


REVIEW = Lifecycle(
    name="review",
    initial=_S.ALLOCATED,
    states=(
        _state(
            _S.ALLOCATED,
            StateType.INTERACTION,
            "Made by the machine, for the reviewers. One of them who had no part in the edits "
            "activates it; a planner may give it to one.",
        ),
        _state(
            _S.ACTIVATED,
            StateType.TRANSIENT,
            "A reviewer has claimed it. The machine writes its package.",
        ),
        _state(
            _S.PREPARED, StateType.INTERACTION, "Its package is ready. Its reviewer downloads it."
        ),
        _state(
            _S.DOWNLOADED,
            StateType.INTERACTION,
            "Its reviewer has the package. They may upload edits of their own, and decide.",
        ),
        _state(
            _S.APPROVED,
            StateType.TERMINAL,
            "The reviewer approved. The package of the edit job is released, or its changes are "
            "checked once more and committed.",
        ),
        _state(
            _S.CORRECTIONS_REQUIRED,
            StateType.TERMINAL,
            "The reviewer asked for corrections. A fix-up is made for the worker.",
        ),
        _state(
            _S.DISCARDED,
            StateType.TERMINAL,
            "The reviewer discarded it. Changes are to be made again; what was under embargo is "
            "abandoned.",
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
        Transition(_S.DOWNLOADED, "accept", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "refuse", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "approve", _S.APPROVED, _by("approve")),
        Transition(
            _S.DOWNLOADED,
            "require_corrections",
            _S.CORRECTIONS_REQUIRED,
            _by("require_corrections"),
        ),
        Transition(_S.DOWNLOADED, "discard", _S.DISCARDED, _by("discard")),
        Transition(_S.DOWNLOADED, "relinquish", _S.ALLOCATED, _by("relinquish")),
        Transition(_S.DOWNLOADED, "allocate", _S.ALLOCATED, _by("allocate")),
        *(
            Transition(state, "abandon", _S.ABANDONED, (MACHINE,))
            for state in (_S.ALLOCATED, _S.ACTIVATED, _S.PREPARED, _S.DOWNLOADED)
        ),
    ),
)
