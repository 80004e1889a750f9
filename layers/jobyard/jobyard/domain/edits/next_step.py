"""What happens next with an edit job or a child, and who has to act, in sentences."""

from dataclasses import dataclass

from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.review import ReviewState

_MACHINE = "Jobyard"


@dataclass(frozen=True)
class NextStep:
    """Who has to act, "" for nobody, and what happens then. `child_id` is where they act, "" for
    the job itself.
    """

    who: str
    what: str
    child_id: str = ""


def next_step(job: EditJob, child: ChildJob | None = None) -> NextStep:
    """The next step of an edit job. `child` is the one that it waits for."""
    worker = job.worker.name if job.worker else f"a worker of team {job.team}"
    if child is not None and child.is_open:
        return NextStep(who_acts(child), _OF_PARENT[child.failure_type], child.child_id)
    match job.state:
        case EditState.PROPOSED:
            return NextStep("a planner", "A planner allocates it to a team. It is in no worklist.")
        case EditState.BLOCKED:
            names = ", ".join(each.custodian for each in job.open_attachments)
            who = names or "the data custodians"
            return NextStep(who, "It is allocated when each has uploaded a file or declined.")
        case EditState.ALLOCATED if job.is_batch:
            return NextStep(_MACHINE, "A function edits it now.")
        case EditState.ALLOCATED if job.assignee is not None:
            return NextStep(job.assignee.name, "They activate it, and get a package to edit.")
        case EditState.ALLOCATED:
            return NextStep(f"a worker of team {job.team}", "The first one to activate it has it.")
        case EditState.ACTIVATED:
            return NextStep(_MACHINE, "Its package is being written, and can be downloaded then.")
        case EditState.PREPARED:
            return NextStep(worker, "They download its package, and edit what is in it.")
        case EditState.DOWNLOADED:
            return NextStep(worker, "They edit, and upload what they changed.")
        case EditState.UPLOADED:
            return NextStep(_MACHINE, "The changes are being validated and reconciled.")
        case EditState.QUARANTINED if job.is_discarded:
            return NextStep(_MACHINE, "A package with the kept edits is being written again.")
        case EditState.COMMITTED if job.problem:
            return NextStep("an admin", "The changes are live. Publishing failed, and is repeated.")
        case EditState.COMMITTED:
            return NextStep(_MACHINE, "The changes are live, and are being published.")
        case EditState.PUBLISHED:
            return NextStep(_MACHINE, "Its workspace and its package are being removed.")
        case EditState.COMPLETED:
            return NextStep("", "Nothing. It leaves the worklist a day after its end.")
        case EditState.ABANDONED:
            return NextStep("", "Nothing, unless a planner retries it: its work was dropped.")
        case EditState.FAILED:
            return NextStep("an admin", "They read its process log. A planner may retry it.")
        case EditState.ARCHIVED:
            return NextStep("", "Nothing. It is kept for the record.")
    return NextStep(_MACHINE, "It goes on in a moment.")


_OF_PARENT = {
    FailureType.VALIDATION: "They repair what breaks rules; then it is checked again.",
    FailureType.CONFLICT: "They decide between both versions; then it is checked again.",
    FailureType.QUARANTINE_REVIEW: "They approve the changes, or have them corrected or discarded.",
    FailureType.EMBARGO_REVIEW: "They release its package, or discard it.",
    FailureType.QUARANTINE_CORRECTIONS: "They correct what the reviewer found; it is checked again.",
}


def who_acts(child: ChildJob) -> str:
    """Who has to act on a child that is open."""
    if child.state in {FixupState.ACTIVATED, FixupState.UPLOADED}:
        return _MACHINE
    if child.worker is not None:
        return child.worker.name
    if child.failure_type.is_review:
        return f"a reviewer of team {child.team} who had no part in it"
    return f"a worker of team {child.team}"


def next_step_of_child(child: ChildJob) -> NextStep:
    """The next step of a child."""
    who = who_acts(child) if child.is_open else ""
    match child.state:
        case FixupState.ALLOCATED:
            return NextStep(who, "They activate it, and get a package.")
        case FixupState.ACTIVATED:
            return NextStep(who, "Its package is being written, and can be downloaded then.")
        case FixupState.PREPARED:
            return NextStep(who, "They download its package.")
        case FixupState.DOWNLOADED if child.failure_type is FailureType.EMBARGO_REVIEW:
            return NextStep(who, "They approve the package, or discard it.")
        case FixupState.DOWNLOADED if child.failure_type.is_review:
            return NextStep(who, "They approve, require corrections, or discard.")
        case FixupState.DOWNLOADED if child.failure_type is FailureType.CONFLICT:
            return NextStep(who, "They decide each conflict, here or with an upload.")
        case FixupState.DOWNLOADED:
            return NextStep(who, "They edit, and upload what they changed.")
        case FixupState.UPLOADED:
            return NextStep(who, "It is being merged into its edit job.")
        case ReviewState.APPROVED:
            return NextStep("", "Nothing: its edit job went on.")
        case ReviewState.CORRECTIONS_REQUIRED:
            return NextStep("", "Nothing: a fix-up was made for the worker.")
        case ReviewState.DISCARDED if child.failure_type is FailureType.EMBARGO_REVIEW:
            return NextStep("", "Nothing: its edit job was abandoned.")
        case ReviewState.DISCARDED:
            return NextStep("", "Nothing: the worker makes the changes again.")
        case FixupState.COMPLETED:
            return NextStep("", "Nothing: it was merged into its edit job.")
    return NextStep("", "Nothing: its edit job was abandoned.")
