"""Slots of a job type, shared by campaigns."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.campaigns.leases import LEASE_FOR, Lease, leased
from tests.domain.campaigns.schedules import instant

NOW = instant("2026-11-25T10:00")


def test_campaigns_get_equal_shares_as_they_renew_their_leases() -> None:
    alone = leased({}, 100, "a", 1000, NOW)
    two = leased(alone, 100, "b", 1000, NOW)
    renewed = leased(leased(two, 100, "a", 1000, NOW), 100, "b", 1000, NOW)

    assert alone == {"a": Lease(100, NOW + LEASE_FOR)}
    assert two["b"].slots == 0  # the other one has all of them until its pass has ended
    assert {name: lease.slots for name, lease in renewed.items()} == {"a": 50, "b": 50}


def test_a_lease_of_a_dead_pass_is_free_after_20_minutes() -> None:
    leases = leased({}, 10, "a", 10, NOW)

    assert leased(leases, 10, "b", 10, NOW + LEASE_FOR - timedelta(seconds=1))["b"].slots == 0
    assert leased(leases, 10, "b", 10, NOW + LEASE_FOR) == {"b": Lease(10, NOW + 2 * LEASE_FOR)}


def test_a_campaign_that_wants_none_gives_its_lease_back() -> None:
    assert leased(leased({}, 10, "a", 10, NOW), 10, "a", 0, NOW) == {}


def test_attempts_that_still_run_keep_their_slots() -> None:
    two = leased(leased({}, 10, "a", 10, NOW), 10, "b", 10, NOW)

    assert leased(two, 10, "a", 10, NOW, running=7)["a"].slots == 7
    assert leased(two, 10, "a", 0, NOW, running=7)["a"].slots == 7


@given(
    limit=st.integers(1, 20),
    renewals=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30), st.integers(0, 25))),
)
def test_leases_never_exceed_the_limit(limit: int, renewals: list[tuple[str, int, int]]) -> None:
    leases: dict[str, Lease] = {}
    now = NOW
    for name, wanted, minutes in renewals:
        now += timedelta(minutes=minutes)
        leases = leased(leases, limit, name, wanted, now)

        assert sum(lease.slots for lease in leases.values()) <= limit
        assert all(0 <= lease.slots <= limit for lease in leases.values())
