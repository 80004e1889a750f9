"""Holds: what they cover and when they expire."""

from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.errors import BadRequest
from jobyard.domain.hold import Hold, active_hold, check_scope, scopes_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def hold(scope: str, until: datetime | None = None) -> Hold:
    return Hold(scope, "operator", "maintenance", NOON, until)


@pytest.mark.parametrize("scope", ["everything", "collection:maps", "type:deposit"])
def test_a_hold_covers_what_its_scope_names(scope: str) -> None:
    assert hold(scope).covers("maps", "deposit")
    assert scope in scopes_of("maps", "deposit")


def test_a_hold_on_another_collection_covers_nothing_here() -> None:
    assert not hold("collection:books").covers("maps", "deposit")


def test_a_hold_runs_out_at_its_time() -> None:
    timed = hold("everything", NOON + timedelta(hours=1))

    assert active_hold([timed], NOON) is timed
    assert active_hold([timed], NOON + timedelta(hours=1)) is None
    assert active_hold([hold("everything")], NOON + timedelta(days=9)) is not None


@pytest.mark.parametrize("scope", ["", "all", "collection:", "collection:a b", "type:../x"])
def test_a_malformed_scope_is_refused_with_the_allowed_forms(scope: str) -> None:
    with pytest.raises(BadRequest, match="collection:NAME"):
        check_scope(scope)
