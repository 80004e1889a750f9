"""Finds the object that a deposit adds a version to, and its description."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.arks import EXAMPLE_ARK, enclosing_arks, normal_ark
from jobyard.domain.collection import Collection
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.objects import IdentifierConflict
from jobyard.jobtypes.deposit import access
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.step_context import StorageContext

# The NAAN for example arks. A real archive has a NAAN and a minter of its own.
MINTED_NAAN = "99999"

_MINTED = re.compile(rf"ark:/{MINTED_NAAN}/j[a-z2-7]{{24}}")  # as `mint` makes them
_NOT_AVAILABLE = "(:unav)"  # in ERC, the metadata format of arks


@dataclass(frozen=True)
class Description:
    """A depositor's description of an object. Missing values are "" and ().

    `primary` is an ark in its normal form, or the given text if that is not an ark.
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
    """The description in the job's row; for a batch of one object, the one in the submission."""
    fields = step_input.parameters if step_input.entry["kind"] == "files" else step_input.entry
    return Description(
        primary=_primary(fields),
        local=_split_local(fields.get("local", ())),
        creator=fields.get("creator", ""),
        title=fields.get("title", ""),
        date=fields.get("date", ""),
    )


def lock(entry: Mapping[str, Any]) -> str:
    """An identifier of the row's object, or "". Jobs with the same one do not overlap."""
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
        # A job that never finished may have claimed the local ids for its ark.
        access.check_ownership(context.objects.latest(owner), step_input)
    return owner


def mint(job_id: str) -> str:
    """A new ark for a job. It is derived from the job id, so a retry mints the same ark."""
    digest = hashlib.sha256(job_id.encode()).digest()[:15]
    return f"ark:/{MINTED_NAAN}/j{base64.b32encode(digest).decode().lower()}"


def _check_primary(
    primary: str, step_input: StepInput, collection: Collection, context: StorageContext
) -> None:
    if not normal_ark(primary):
        message = f"the primary identifier {primary} is not an ark: {EXAMPLE_ARK} is expected"
        raise Refused(Failure.BAD_MANIFEST, message, requeueable=False)
    latest = context.objects.latest(primary)
    access.check_ownership(latest, step_input)
    if latest is not None:
        return
    for enclosing in enclosing_arks(primary):
        access.check_ownership(context.objects.latest(enclosing), step_input)
    if _MINTED.match(primary):
        message = f"{primary} looks like an ark minted by Jobyard, but there is no such object"
        raise Refused(Failure.ARK_NOT_ALLOWED, message, requeueable=False)
    if not collection.may_assign(primary):
        raise Refused(Failure.ARK_NOT_ALLOWED, access.ark_not_allowed(primary, collection))


def _primary(fields: Mapping[str, Any]) -> str:
    """The object's ark in its normal form, so that two spellings are one object."""
    given = fields.get("primary", "")
    return normal_ark(given) or given


def _split_local(local: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The local ids. A row has a list; a submission may have one text, separated by ";"."""
    given = local.split(";") if isinstance(local, str) else local
    return tuple(dict.fromkeys(each.strip() for each in given if each.strip()))


def _conflict(message: str) -> Refused:
    return Refused(Failure.IDENTIFIER_CONFLICT, message, requeueable=False)
