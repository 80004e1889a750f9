"""A collection: what objects belong to, who may deposit in it, which arks it may name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobyard.domain.access import MEMBER, OWNER, ROLES, is_allowed
from jobyard.domain.arks import naan_of
from jobyard.domain.errors import BadRequest
from jobyard.domain.text import REASON_BYTES, clean

# What a record may hold. With all of it, and 20 changes, it has less than 100 KB.
MAX_PEOPLE = 100
MAX_GROUPS = 20
MAX_NAANS = 20
MAX_ADDRESSES = 20
_CHANGES_KEPT = 20  # besides the first one
_WHAT_BYTES = 500
NAAN_PATTERN = "[0-9a-z]{5,10}"  # a name assigning authority, as a regular expression
GROUP = r"[A-Za-z0-9_.@+-]{1,128}"  # a group as a token names it: neither blanks nor commas


@dataclass(frozen=True)
class Depositor:
    """Whose right counts for a batch: a person's id, and the groups they had when they submitted.

    Nobody's id is "": of what was dropped in the bucket, and of batches older than ids.
    """

    sub: str = ""
    groups: frozenset[str] = frozenset()


NOBODY = Depositor()


@dataclass(frozen=True)
class RightsChange:
    """A change of a collection, by whom and why. `what` says it in words, `cause` names the
    request."""

    event: str
    at: datetime
    actor: str
    sub: str
    reason: str
    cause: str
    summary: str = ""


@dataclass(frozen=True)
class Collection:
    """A collection as it is stored. `version` counts its writes, from 1.

    `owner` is a name to show, `owner_sub` the id of that person. `people` are the names of those
    who may deposit, by id, `groups` the user pool's groups that may; `drops` says whether manifests
    that are dropped in the bucket, by nobody, may. `naans` are the name assigning authorities whose
    arks it may name. `notify` is told how a batch ended that names nobody. `changes` are the first
    and the newest, oldest first.
    """

    name: str
    version: int
    owner: str
    owner_sub: str
    people: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    naans: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    accepts_drops: bool = False
    changes: tuple[RightsChange, ...] = ()

    def relations(self, who: Depositor) -> frozenset[str]:
        """What `who` is to it: owner, member, both or nothing. Nobody is neither."""
        is_owner = bool(who.sub) and who.sub == self.owner_sub
        is_member = bool(who.sub) and (who.sub in self.people or bool(self.groups & who.groups))
        return frozenset({OWNER} if is_owner else ()) | ({MEMBER} if is_member else set())

    def may_deposit(self, who: Depositor) -> bool:
        """Whether what `who` submits may go in."""
        if not who.sub:
            return self.accepts_drops
        roles = who.groups & set(ROLES)
        return is_allowed("collection", "deposit", roles | self.relations(who))

    def may_assign(self, ark: str) -> bool:
        """Whether an object that is new may be given `ark`."""
        return naan_of(ark) in self.naans

    def changed(self, change: RightsChange, **changes: Any) -> "Collection":
        """It after a change.

        Raises:
            BadRequest: it would hold more than a collection may.
        """
        kept = self.changes
        if len(kept) > _CHANGES_KEPT:
            kept = (kept[0], *kept[-_CHANGES_KEPT + 1 :])
        brief = replace(
            change,
            summary=clean(change.summary, _WHAT_BYTES),
            reason=clean(change.reason, REASON_BYTES),
        )
        after = replace(self, **changes, version=self.version + 1, changes=(*kept, brief))
        _check_size(after)
        return after


def deposit_refusal(name: str, collection: Collection | None, who: Depositor) -> str:
    """Why what `who` submits may not go into the collection called `name`, and what to do; "" when
    it may."""
    if collection is None:
        return f"there is no collection {name!r}: an admin makes it (jobyard collection create)"
    if collection.may_deposit(who):
        return ""
    if not who.sub:
        return (
            f"collection {name} takes no manifests that are dropped in the bucket: "
            f"{_who(collection)} can change that (jobyard collection edit {name} --drops)"
        )
    return (
        f"who submitted this may not deposit into collection {name}: {_who(collection)} can allow "
        f"it (jobyard collection allow {name} PERSON)"
    )


def _who(collection: Collection) -> str:
    return f"its owner, {collection.owner}, or an admin"


def _check_size(collection: Collection) -> None:
    for held, most, what in (
        (collection.people, MAX_PEOPLE, "people: give a group the right instead"),
        (collection.groups, MAX_GROUPS, "groups"),
        (collection.naans, MAX_NAANS, "NAANs"),
        (collection.notify, MAX_ADDRESSES, "addresses"),
    ):
        if len(held) > most:
            raise BadRequest(f"a collection has up to {most} {what}")
