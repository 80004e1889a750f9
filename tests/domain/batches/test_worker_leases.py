"""How batches share workers: by collection, by submitter, by run, in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.batches.worker_leases import (
    MAX_WAITING,
    REQUEST_EXPIRES,
    TIME_SLICE,
    WORKERS_LEASED_FOR,
    WorkerLease,
    leased,
    must_yield,
    renewed,
    reserve_of,
    usable_of,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class Deployment:
    """A deployment with so many workers. Its clock shows seconds after noon."""

    limit: int
    at: float = 0
    leases: Mapping[str, WorkerLease] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at)

    def ask(self, run: str, wanted: int, collection: str = "maps", submitter: str = "") -> int:
        """The workers that a run gets, which it wants for a pass."""
        request = WorkerLease(wanted, collection, submitter, self.now, self.now)
        self.leases = leased(self.leases, run, request, self.limit, self.now)
        return self.leases[run].workers if run in self.leases else 0

    def yields(self, run: str) -> bool:
        """Whether the pass of a run has to end."""
        return must_yield(self.leases, run, self.limit, self.now)


def test_a_batch_that_is_alone_gets_what_it_wants_but_for_the_reserve() -> None:
    assert Deployment(80).ask("a", 40) == 40
    assert Deployment(80).ask("a", 1000) == 70
    assert Deployment(1).ask("a", 4) == 1
    assert reserve_of(2) == reserve_of(15) == 1


def test_the_reserve_is_for_collections_and_people_without_workers() -> None:
    stack = Deployment(8)
    for number in range(16):
        stack.ask(f"a{number}", 4, "maps", "ann")

    assert sum(each.workers for each in stack.leases.values()) == 7
    assert stack.ask("other person", 1, "maps", "bob") == 1
    stack.ask("other person", 0)
    assert stack.ask("other collection", 1, "books", "ann") == 1
    assert stack.ask("too late", 1, "films", "cat") == 0
    stack.ask("other collection", 0)
    assert stack.ask("too late", 1, "films", "cat") == 1


def test_collections_share_equally_then_their_submitters_then_their_batches() -> None:
    stack = Deployment(9)  # eight to share
    stack.ask("a1", 8, "maps", "ann")
    stack.ask("a2", 8, "maps", "ann")
    stack.ask("b", 8, "maps", "bob")
    stack.ask("c", 8, "books", "cat")

    stack.at += 31  # each pass has had its slice
    shares = {}
    for _ in range(3):
        for run, collection, submitter in (
            ("a1", "maps", "ann"),
            ("a2", "maps", "ann"),
            ("b", "maps", "bob"),
            ("c", "books", "cat"),
        ):
            shares[run] = stack.ask(run, 8, collection, submitter)

    assert shares == {"a1": 1, "a2": 1, "b": 2, "c": 4}


def test_a_batch_that_wants_little_leaves_the_rest_to_others() -> None:
    stack = Deployment(80)
    stack.ask("small", 1, "books")

    assert stack.ask("large", 1000, "maps") == 69


def test_after_its_slice_a_batch_yields_to_one_that_waits_and_they_take_turns() -> None:
    stack = Deployment(2)  # one to share
    assert [stack.ask("a", 1), stack.ask("b", 1)] == [1, 0]
    assert not stack.yields("a")

    stack.at += TIME_SLICE.total_seconds()
    assert stack.ask("b", 1) == 0
    assert stack.yields("a")
    assert stack.ask("a", 1) == 0  # it waits behind the other one
    assert stack.ask("b", 1) == 1
    assert not stack.yields("b")
    stack.at += TIME_SLICE.total_seconds()
    assert stack.ask("a", 1) == 0
    assert stack.yields("b")


def test_a_batch_yields_what_the_reserve_lacks() -> None:
    stack = Deployment(8)
    stack.ask("a", 7, "maps")
    stack.ask("b", 1, "books")
    assert not stack.yields("a")

    stack.at += TIME_SLICE.total_seconds()

    assert stack.yields("a")
    assert not stack.yields("b")


def test_a_batch_that_is_alone_never_yields() -> None:
    stack = Deployment(80)
    stack.ask("a", 40)

    stack.at += 280

    assert not stack.yields("a")
    assert not stack.yields("unknown")


def test_the_lease_of_a_dead_execution_expires_unless_workers_renew_it() -> None:
    stack = Deployment(2)
    stack.ask("dead", 1)
    stack.at = WORKERS_LEASED_FOR.total_seconds() - 1
    assert stack.ask("b", 1) == 0

    found = renewed(stack.leases, "dead", 3, stack.now)
    assert found
    assert found["dead"].until == stack.now + WORKERS_LEASED_FOR
    assert renewed(found, "dead", 3, stack.now) is None
    assert renewed(found, "unknown", 3, stack.now) is None

    stack.at += 1
    assert stack.ask("b", 1) == 1


def test_another_request_while_it_waits_keeps_its_place_without_a_write_each_time() -> None:
    stack = Deployment(2)
    stack.ask("a", 1)
    stack.ask("b", 1)
    before = stack.leases

    stack.at += 10
    stack.ask("b", 1)
    assert stack.leases == before

    stack.at += REQUEST_EXPIRES.total_seconds() / 2
    stack.ask("b", 1)
    assert stack.leases["b"].since == before["b"].since
    assert stack.leases["b"].until > before["b"].until


def test_the_leases_stay_small_however_many_batches_wait() -> None:
    stack = Deployment(2)

    for number in range(MAX_WAITING + 50):
        stack.ask(f"run {number}", 1)

    assert len(stack.leases) == 1 + MAX_WAITING


_ASKED = st.lists(
    st.tuples(
        st.integers(0, 9),  # the run
        st.integers(0, 12),  # what it wants
        st.sampled_from(["maps", "books", "films"]),
        st.sampled_from(["", "ann", "bob"]),
        st.integers(0, 40),  # seconds before it asks
    ),
    max_size=60,
)


@given(st.integers(1, 20), _ASKED)
def test_no_more_workers_are_leased_than_there_are(
    limit: int, asked: list[tuple[int, int, str, str, int]]
) -> None:
    stack = Deployment(limit)

    for number, wanted, collection, submitter, seconds in asked:
        stack.at += seconds
        got = stack.ask(f"run {number}", wanted, collection, submitter)

        held = sum(each.workers for each in stack.leases.values())
        assert 0 <= got <= wanted
        assert held <= limit


@given(st.integers(2, 20), _ASKED)
def test_each_run_that_wants_a_worker_gets_one_in_the_end(
    limit: int, asked: list[tuple[int, int, str, str, int]]
) -> None:
    """Those that must yield give back and ask again; the others ask until they get some."""
    stack = Deployment(limit)
    wants = {f"run {number}": (wanted or 1, where, who) for number, wanted, where, who, _ in asked}
    served: set[str] = set()

    for _ in range(20):
        for run, (wanted, collection, submitter) in wants.items():
            own = stack.leases.get(run)
            is_idle = own is None or not own.workers or stack.yields(run)
            if is_idle and stack.ask(run, wanted, collection, submitter):
                served.add(run)
        stack.at += 15

    assert served == wants.keys()
    assert usable_of(limit) >= 1
