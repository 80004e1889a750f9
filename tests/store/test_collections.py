"""Collections: each change replaces the version that was read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobyard.domain.collection import CollectionChange
from jobyard.domain.errors import StaleState
from jobyard.store import collections
from tests.open_collections import an_open_collection

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.usefixtures("store_endpoint")
def test_a_collection_is_read_as_it_was_written() -> None:
    change = CollectionChange("create", NOON, "anna", "id", "because", "r1", "what")
    full = replace(
        an_open_collection("read"),
        people={"id-bo": "bo"},
        notify=("maps@example.org",),
        changes=(change,),
    )
    collections.put(full)

    assert collections.find("read") == full
    assert collections.find("none") is None
    collections.put(full)  # a repeat of a call whose answer was lost


@pytest.mark.usefixtures("store_endpoint")
def test_of_two_changes_at_once_one_is_refused() -> None:
    first = an_open_collection("twice")
    collections.put(first)
    one, other = (replace(first, version=2, accepts_drops=drops) for drops in (True, False))
    collections.put(one)

    with pytest.raises(StaleState):
        collections.put(other)
    with pytest.raises(StaleState):
        collections.put(replace(first, owner="somebody"))
    assert collections.find("twice") == one


@pytest.mark.usefixtures("store_endpoint")
def test_collections_are_listed_by_name_from_a_place_on() -> None:
    for name in ("zz-3", "zz-1", "zz-2"):
        collections.put(an_open_collection(name))

    found = [each.name for each in collections.by_name(after="zz", limit=2)]
    rest = [each.name for each in collections.by_name(after="zz-2", limit=2)]

    assert (found, rest) == (["zz-1", "zz-2"], ["zz-3"])
