"""Finds the object that a deposit is a version of, and its description."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.arks import EXPECTED, enclosing_arks, normal_ark
from jobyard.domain.collection import Collection
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.objects import IdentifierConflict
from jobyard.jobtypes.deposit import access
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.step_context import StorageContext

# The name assigning authority of arks that are examples; an archive's own comes with its minter.
MINTED_NAAN = "99999"

_MINTED = re.compile(rf"ark:/{MINTED_NAAN}/j[a-z2-7]{{24}}")  # as `mint` makes them
_NOT_AVAILABLE = (
    "(:unav)"  # what ERC, the ark's little metadata record, writes for a value not available
)


@dataclass(frozen=True)
class Description:
    """A depositor's description of an object; "" and () where nothing is given.

    `primary` is an ark in its normal form, or the given text if it is no ark.
    """

    primary: str
    local: tuple[str, ...]
    creator: str
    title: str
    date: str

    def metadata(self, ark: str) -> dict[str, str]:
        """The object's ERC metadata: who, what, when, where."""
        return {
            "who": self.creator or _NOT_AVAILABLE,
            "what": self.title or _NOT_AVAILABLE,
            "when": self.date or _NOT_AVAILABLE,
            "where": ark,
        }


def description_of(step_input: StepInput) -> Description:
    """The description in the job's row; if the row is the object's manifest, in the submission."""
    fields = step_input.parameters if step_input.entry["kind"] == "files" else step_input.entry
    return Description(
        primary=_primary(fields),
        local=_split_local(fields.get("local", ())),
        creator=fields.get("creator", ""),
        title=fields.get("title", ""),
        date=fields.get("date", ""),
    )


def lock(entry: Mapping[str, Any]) -> str:
    """The object of a row, as far as the row tells. Jobs of the same object do not overlap."""
    return _primary(entry) or next(iter(_split_local(entry.get("local", ()))), "")


def identify(step_input: StepInput, context: StorageContext) -> str:
    """The ark of the job's object: the given ark, the owner of its local ids, or a new one.

    Raises:
        Refused: DEPOSIT_NOT_ALLOWED; IDENTIFIER_CONFLICT; BAD_MANIFEST, the primary identifier
            is not an ark; ARK_NOT_ALLOWED, the collection may not give this ark to an object.
    """
    collection = access.authorize(step_input, context)
    description = description_of(step_input)
    if description.primary:
        _check_primary(description.primary, step_input, collection, context)
    ark = description.primary or mint(step_input.job_id)
    if not description.local:
        return ark
    try:
        owner = context.objects.identify(step_input.collection, sorted(description.local), ark)
    except IdentifierConflict as conflict:
        raise _conflict(str(conflict)) from conflict
    if description.primary and owner != description.primary:
        raise _conflict(
            f"{', '.join(description.local)} belongs to {owner}, not to {description.primary}"
        )
    if owner != ark:
        # The local ids may have been given to an ark by a job that never deposited it.
        access.check_ownership(context.objects.latest(owner), step_input)
    return owner


def mint(job_id: str) -> str:
    """A new ark for a job. It is derived from the job id, so that a retry mints no second one."""
    digest = hashlib.sha256(job_id.encode()).digest()[:15]
    return f"ark:/{MINTED_NAAN}/j{base64.b32encode(digest).decode().lower()}"


def _check_primary(
    primary: str, step_input: StepInput, collection: Collection, context: StorageContext
) -> None:
    if not normal_ark(primary):
        message = f"the primary identifier {primary} is no ark: {EXPECTED} is expected"
        raise Refused(Failure.BAD_MANIFEST, message, recoverable=False)
    latest = context.objects.latest(primary)
    access.check_ownership(latest, step_input)
    if latest is not None:
        return
    for enclosing in enclosing_arks(primary):
        access.check_ownership(context.objects.latest(enclosing), step_input)
    if _MINTED.match(primary):
        message = f"{primary} has the form of arks that Jobyard makes, and there is no such object"
        raise Refused(Failure.ARK_NOT_ALLOWED, message, recoverable=False)
    if not collection.may_assign(primary):
        raise Refused(Failure.ARK_NOT_ALLOWED, access.ark_not_allowed(primary, collection))


def _primary(fields: Mapping[str, Any]) -> str:
    """The object's ark in one spelling, so that two spellings never become two objects."""
    given = fields.get("primary", "")
    return normal_ark(given) or given


def _split_local(local: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The local ids: a list in a row; in a submission maybe one text, separated by ";"."""
    given = local.split(";") if isinstance(local, str) else local
    return tuple(dict.fromkeys(each.strip() for each in given if each.strip()))


def _conflict(message: str) -> Refused:
    return Refused(Failure.IDENTIFIER_CONFLICT, message, recoverable=False)
