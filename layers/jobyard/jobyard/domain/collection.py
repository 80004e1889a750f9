"""A collection: it owns objects, decides who may deposit, and lists which arks may be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobyard.domain.access import MEMBER, OWNER, ROLES, is_allowed
from jobyard.domain.arks import naan_of
from jobyard.domain.compaction import KEPT_LAST
from jobyard.domain.errors import BadRequest
from jobyard.domain.text import REASON_BYTES, clean

# Limits of a record. At all of them, with 20 changes, it is smaller than 100 KB.
MAX_PEOPLE = 100
MAX_GROUPS = 20
MAX_NAANS = 20
MAX_ADDRESSES = 20
_SUMMARY_BYTES = 500
GROUP_PATTERN = r"[A-Za-z0-9_.@+-]{1,128}"  # a group of the user pool: neither spaces nor commas


@dataclass(frozen=True)
class Depositor:
    """The person whose right to deposit counts for a batch, with their groups when they submitted.

    `sub` is "" for a manifest that was dropped in the bucket, and for batches from before ids were
    stored.
    """

    sub: str = ""
    groups: frozenset[str] = frozenset()


NOBODY = Depositor()


@dataclass(frozen=True)
class CollectionChange:
    """A change of a collection. `summary` describes it in words, `cause` names the request."""

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

    `owner` is a name to show, `owner_sub` the id of that person. `people` are the names by id of
    those who may deposit, `groups` the groups of the user pool that may. `accepts_drops` says
    whether manifests that are dropped in the bucket are accepted. `naans` are the authorities whose
    arks may be used. `notify` gets the reports of batches that name no recipient. `changes` are
    the first change and the last `KEPT_LAST`, oldest first.
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
    changes: tuple[CollectionChange, ...] = ()

    def relations(self, depositor: Depositor) -> frozenset[str]:
        """The relations of `depositor` to it: owner, member, both or neither."""
        is_owner = bool(depositor.sub) and depositor.sub == self.owner_sub
        is_member = bool(depositor.sub) and (
            depositor.sub in self.people or bool(self.groups & depositor.groups)
        )
        return frozenset({OWNER} if is_owner else ()) | ({MEMBER} if is_member else set())

    def may_deposit(self, depositor: Depositor) -> bool:
        """Whether `depositor` may deposit into it."""
        if not depositor.sub:
            return self.accepts_drops
        roles = depositor.groups & set(ROLES)
        return is_allowed("collection", "deposit", roles | self.relations(depositor))

    def may_assign(self, ark: str) -> bool:
        """Whether `ark` may be given to a new object."""
        return naan_of(ark) in self.naans

    def changed(self, change: CollectionChange, **changes: Any) -> "Collection":
        """The collection after `change`, with `changes` to its other fields.

        Raises:
            BadRequest: it would have more people, groups, NAANs or addresses than allowed.
        """
        kept = self.changes
        if len(kept) > KEPT_LAST:
            kept = (kept[0], *kept[-KEPT_LAST + 1 :])
        cleaned = replace(
            change,
            summary=clean(change.summary, _SUMMARY_BYTES),
            reason=clean(change.reason, REASON_BYTES),
        )
        after = replace(self, **changes, version=self.version + 1, changes=(*kept, cleaned))
        _check_size(after)
        return after


def deposit_refusal(name: str, collection: Collection | None, depositor: Depositor) -> str:
    """Why `depositor` may not deposit into the collection `name`, and what to do; "" if they may.

    `collection` is None if it does not exist.
    """
    if collection is None:
        return (
            f"there is no collection {name!r}: an admin can create it (jobyard collection create)"
        )
    if collection.may_deposit(depositor):
        return ""
    if not depositor.sub:
        return (
            f"collection {name} does not accept manifests that are dropped in the bucket: "
            f"{_owner_or_admin(collection)} can change that "
            f"(jobyard collection edit {name} --drops)"
        )
    return (
        f"the submitter may not deposit into collection {name}: {_owner_or_admin(collection)} "
        f"can allow it (jobyard collection allow {name} PERSON)"
    )


def _owner_or_admin(collection: Collection) -> str:
    return f"its owner, {collection.owner}, or an admin"


def _check_size(collection: Collection) -> None:
    for values, limit, noun in (
        (collection.people, MAX_PEOPLE, "people: allow a group instead"),
        (collection.groups, MAX_GROUPS, "groups"),
        (collection.naans, MAX_NAANS, "NAANs"),
        (collection.notify, MAX_ADDRESSES, "addresses"),
    ):
        if len(values) > limit:
            raise BadRequest(f"a collection has up to {limit} {noun}")
