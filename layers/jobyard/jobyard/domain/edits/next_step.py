"""What happens next with an edit job or a child, and who has to act, in sentences."""

from dataclasses import dataclass

from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.review import ReviewState

_MACHINE = "Jobyard"


@dataclass(frozen=True)
class ExpectedStep:
    """Who has to act, "" for nobody, and what happens then. `child_id` is where they act, "" for
    the job itself.
    """

    who: str
    what: str
    child_id: str = ""


_READS = "The file that was uploaded is being read."
_THEIRS = "its worker"  # stands for who has the job
# Who acts in a state, and what happens then.
_STEPS: dict[EditState, tuple[str, str]] = {
    EditState.PROPOSED: ("a planner", "A planner allocates it to a team. It is in no worklist."),
    EditState.BLOCKED: (
        "the data custodians",
        "It is allocated when each has uploaded a file or declined.",
    ),
    EditState.ALLOCATED: (_THEIRS, "The first one to activate it has it."),
    EditState.ACTIVATED: (_MACHINE, "Its package is being written, and can be downloaded then."),
    EditState.EMBARGOED: (_MACHINE, "It continues in a moment."),
    EditState.PREPARED: (_THEIRS, "They download its package, and edit what is in it."),
    EditState.DOWNLOADED: (_THEIRS, "They edit, and upload what they changed."),
    EditState.UPLOADED: (_MACHINE, "The changes are being validated and reconciled."),
    EditState.INVALID: (_MACHINE, "It continues in a moment."),
    EditState.QUARANTINED: (_MACHINE, "It continues in a moment."),
    EditState.CONFLICTED: (_MACHINE, "It continues in a moment."),
    EditState.COMMITTED: (_MACHINE, "The changes are live, and are being published."),
    EditState.PUBLISHED: (_MACHINE, "Its workspace and its package are being removed."),
    EditState.COMPLETED: ("", "Nothing. It leaves the worklist a day after its end."),
    EditState.ABANDONED: ("", "Nothing, unless a planner retries it: its work was dropped."),
    EditState.FAILED: ("an admin", "They read its process log. A planner may retry it."),
    EditState.ARCHIVED: ("", "Nothing. It is kept for the record."),
    EditState.DELETED: ("", "Nothing. A planner deleted it."),
}


# The same if it waits for a child that is not at hand.
_WITH_CHILD: dict[EditState, tuple[str, str]] = {
    EditState.EMBARGOED: ("a reviewer", "They release its package, or discard it."),
    EditState.INVALID: (_THEIRS, "They repair what breaks rules, in its child."),
    EditState.QUARANTINED: ("a reviewer or its worker", "They review or correct it, in its child."),
    EditState.CONFLICTED: (_THEIRS, "They decide between both versions, in its child."),
}


def next_step(job: EditJob, child: ChildJob | None = None) -> ExpectedStep:
    """The next step of an edit job. `child` is the one that it waits for; without it, as in a list,
    the step says less.
    """
    if child is not None and child.is_open:
        return ExpectedStep(who_acts(child), _OF_PARENT[child.failure_type], child.child_id)
    steps = _WITH_CHILD if job.open_child and child is None else _STEPS
    who, what = _special_step(job) or steps.get(job.state) or _STEPS[job.state]
    if who == _THEIRS:
        who = job.worker.name if job.worker else f"a worker of team {job.team}"
    return ExpectedStep(who, what)


def _special_step(job: EditJob) -> tuple[str, str] | None:
    """The step of a job in a state with more than one; None for the one of its state."""
    if job.state is EditState.BLOCKED and job.open_attachments:
        names = ", ".join(each.custodian for each in job.open_attachments)
        return names, _STEPS[job.state][1]
    if job.state is EditState.ALLOCATED and job.is_batch:
        return _MACHINE, "A function edits it now."
    if job.state is EditState.ALLOCATED and job.assignee is not None:
        return job.assignee.name, "They activate it, and get a package to edit."
    if job.is_reading:
        return _MACHINE, _READS
    if job.state is EditState.QUARANTINED and job.is_discarded:
        return _MACHINE, "A package with the kept edits is being written again."
    if job.state is EditState.COMMITTED and job.problem:
        return "an admin", "The changes are live. Publishing failed, and is repeated."
    return None


_OF_PARENT = {
    FailureType.VALIDATION: "They repair what breaks rules; then it is checked again.",
    FailureType.CONFLICT: "They decide between both versions; then it is checked again.",
    FailureType.QUARANTINE_REVIEW: "They approve the changes, or have them corrected or discarded.",
    FailureType.EMBARGO_REVIEW: "They release its package, or discard it.",
    FailureType.QUARANTINE_CORRECTIONS: "They correct what the reviewer found; then it is checked.",
}


def who_acts(child: ChildJob) -> str:
    """Who has to act on a child that is open."""
    if child.needs_machine:
        return _MACHINE
    if child.worker is not None:
        return child.worker.name
    if child.failure_type.is_review:
        return f"a reviewer of team {child.team} who had no part in it"
    return f"a worker of team {child.team}"


_MERGES = "They edit, and upload what they changed."
_CHILD_STEPS: dict[str, str] = {
    FixupState.ALLOCATED: "They activate it, and get a package.",
    FixupState.ACTIVATED: "Its package is being written, and can be downloaded then.",
    FixupState.PREPARED: "They download its package.",
    FixupState.UPLOADED: "It is being merged into its edit job.",
    FixupState.COMPLETED: "Nothing: it was merged into its edit job.",
    FixupState.ABANDONED: "Nothing: its edit job was abandoned.",
    ReviewState.APPROVED: "Nothing: its edit job continued.",
    ReviewState.CORRECTIONS_REQUIRED: "Nothing: a fix-up was made for the worker.",
}
_DOWNLOADED = {
    FailureType.VALIDATION: _MERGES,
    FailureType.CONFLICT: "They decide each conflict, here or with an upload.",
    FailureType.QUARANTINE_REVIEW: "They approve, require corrections, or discard.",
    FailureType.EMBARGO_REVIEW: "They approve the package, or discard it.",
    FailureType.QUARANTINE_CORRECTIONS: _MERGES,
}


def next_step_of_child(child: ChildJob) -> ExpectedStep:
    """The next step of a child."""
    who = who_acts(child) if child.is_open else ""
    if child.is_reading:
        return ExpectedStep(who, _READS)
    if child.state == FixupState.DOWNLOADED:
        return ExpectedStep(who, _DOWNLOADED[child.failure_type])
    if child.state == ReviewState.DISCARDED:
        is_embargo = child.failure_type is FailureType.EMBARGO_REVIEW
        ended = "its edit job was abandoned" if is_embargo else "the worker makes the changes again"
        return ExpectedStep("", f"Nothing: {ended}.")
    return ExpectedStep(who, _CHILD_STEPS[child.state])
