"""Collections, as lists and details show them."""

from dataclasses import dataclass

from jobyard.domain.collection import Collection
from jobyard.domain.hold import EVERYTHING, Hold, active_hold
from jobyard.services.access import may_edit, may_see, may_submit, visible_collection
from jobyard.services.context import QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.store import collections, holds

_READ_AT_ONCE = 100
_MAX_READ = 1000  # collections that one page reads


@dataclass(frozen=True)
class CollectionView:
    """A collection. `hold` is the hold in force on it, if any; `may_deposit` and `may_edit` are
    about the actor.
    """

    collection: Collection
    hold: Hold | None
    may_deposit: bool
    may_edit: bool


def collection(name: str, context: QueryContext) -> CollectionView:
    """One collection.

    Raises:
        NotFound: there is no such collection, or the actor may not see it.
    """
    return collection_views([visible_collection(name, context.actor)], context)[0]


@dataclass(frozen=True)
class CollectionList:
    """A page of collections by name, and the name after which the next page begins; None after the
    last. `searched` is how far a page that is not full was searched; None if that is to the end.
    """

    items: tuple[CollectionView, ...]
    after: str | None
    searched: Searched | None = None


def list_collections(context: QueryContext, *, after: str, limit: int) -> CollectionList:
    """Up to `limit` collections that the actor may see. A page may be short although another
    follows.
    """
    found: list[Collection] = []
    for _ in range(_MAX_READ // _READ_AT_ONCE):
        page = collections.by_name(after=after, limit=_READ_AT_ONCE)
        for each in page:
            if len(found) == limit:
                return CollectionList(tuple(collection_views(found, context)), after)
            after = each.name
            if may_see(each, context.actor):
                found.append(each)
        if len(page) < _READ_AT_ONCE:
            return CollectionList(tuple(collection_views(found, context)), None)
    views = tuple(collection_views(found, context))
    return CollectionList(views, after, Searched(_MAX_READ, after))


def collection_views(found: list[Collection], context: QueryContext) -> list[CollectionView]:
    """Each collection with its hold and with what the actor may do, in the same order."""
    scopes = {each.name: f"collection:{each.name}" for each in found}
    holds_by_scope = {each.scope: each for each in holds.of_scopes([EVERYTHING, *scopes.values()])}
    return [
        CollectionView(
            each,
            active_hold(
                (
                    holds_by_scope[scope]
                    for scope in (EVERYTHING, scopes[each.name])
                    if scope in holds_by_scope
                ),
                context.now,
            ),
            may_submit(each, context.actor),
            may_edit(each, context.actor),
        )
        for each in found
    ]
