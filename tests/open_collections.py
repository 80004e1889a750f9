"""The collections that tests deposit into: every depositor may deposit without a group, and name
the arks of the examples."""

from jobyard.domain.collection import Collection
from jobyard.domain.errors import StaleState
from jobyard.store import collections
from tests.people import sub_of

NAMES = ("maps", "books", "ch", "never", "promised")
NAANS = ("99999", "12345", "1")


def make_collections(*names: str) -> None:
    """Create these collections, or those of `NAMES`, where they are missing."""
    for name in names or NAMES:
        try:
            collections.put(an_open_collection(name))
        except StaleState:
            continue


def an_open_collection(name: str) -> Collection:
    """A collection that accepts every depositor and ark."""
    return Collection(
        name=name,
        version=1,
        owner="curator",
        owner_sub=sub_of("curator"),
        groups=frozenset({"depositor", "operator", "admin"}),
        naans=NAANS,
        accepts_drops=True,
    )
