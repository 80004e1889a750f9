"""Whatever fails, is lost or dies at whichever call to AWS: the same end, the same mails."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from jobyard.services import asking
from jobyard.store import tables
from jobyard.store.remembered import secret
from tests.walk.yard import Payloads, Yard, single_files

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}


class Died(Exception):
    """The call failed, or the process is no more."""


@dataclass
class Fate:
    """Strikes at the `at`-th call: before it or after it was applied, once or for good.

    For good means that the function which made the call is dead: none of its later calls goes out.
    """

    at: int = -1
    applied: bool = False
    deadly: bool = False
    calls: int = 0
    dead: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def reborn(self) -> None:
        """A new invocation begins."""
        self.dead = False

    def before(self, **_: Any) -> None:
        """A call is about to go out."""
        with self._lock:
            if self.dead:
                raise Died("the function is dead")
            self.calls += 1
            if self.calls == self.at and not self.applied:
                self._strike()

    def after(self, **_: Any) -> None:
        """A call was applied and its answer is on the way."""
        with self._lock:
            if self.calls == self.at and self.applied and not self.dead:
                self.at = -1
                self._strike()

    def _strike(self) -> None:
        self.dead = self.deadly
        raise Died(f"call {self.calls}")


@pytest.fixture
def fate(yard: Yard) -> Any:
    """A fate that strikes nobody until it is told to."""
    struck = Fate()
    secret("warm", "the store's client exists from here on")
    clients = [yard.s3, yard.ses, tables.client()]
    for client in clients:
        client.meta.events.register_first("before-call.*", struck.before)
        client.meta.events.register_last("after-call.*", struck.after)
    yield struck
    for client in clients:
        client.meta.events.unregister("before-call.*", struck.before)
        client.meta.events.unregister("after-call.*", struck.after)


def persist(yard: Yard, fate: Fate, ask: Callable[[], Any]) -> None:
    """Ask until it is done, as a client does that repeats its request with the same key."""
    for _ in range(4):
        fate.reborn()
        try:
            ask()
        except Died:
            continue
        return
    raise AssertionError("four tries were not enough")


def story(yard: Yard, payloads: Payloads, fate: Fate, collection: str) -> dict[str, Any]:
    """Three jobs, one fails, is requeued and reported anew; what came of it all."""
    yard.machines.reborn = fate.reborn
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    event = yard.put(manifest, name="may.checkm", collection=collection)
    fate.calls = 0
    yard.machines.run("batch", "the-only-event", event)
    payloads.status.clear()
    calls, fate.calls = fate.calls, 10**6
    batch_id = yard.batch_id_of(event)
    yard.tick(batch_id)
    failed = [
        view.job.place.job_id for view in asking_views(yard, batch_id) if view.job.state == "failed"
    ]
    fate.calls = calls
    for number, job_id in enumerate(failed):
        request = yard.asking(key=f"requeue-{number}-{batch_id}")
        persist(yard, fate, lambda j=job_id, r=request: asking.ask_job(j, "requeue", r))
        yard.machines.run_all()
    request = yard.asking(key=f"update-{batch_id}")
    persist(yard, fate, lambda: asking.ask_batch(batch_id, "update_reporting", request))
    yard.machines.run_all()
    fate.at = -1
    fate.reborn()
    total = fate.calls
    yard.tick(batch_id)
    view = yard.batch(batch_id)
    found = yard.s3.list_objects_v2(Bucket="archive", Prefix="content/")
    return {
        "state": view.batch.state.value,
        "counts": {name: number for name, number in view.counts.items() if number},
        "mails": [("OK" in mail.subject) for mail in yard.mails_of(batch_id)],
        "content": sorted(item["Key"] for item in found.get("Contents", ())),
        "calls": total,
    }


def asking_views(yard: Yard, batch_id: str) -> Any:
    """The jobs of a batch as an administrator sees them."""
    from jobyard.services.views import list_jobs

    return list_jobs(batch_id, yard.looking(), state="", after=(0, 0), limit=50).items


WAYS = {
    "fails before it is applied": {"applied": False, "deadly": False},
    "is applied and its answer lost": {"applied": True, "deadly": False},
    "is the last before the function dies": {"applied": True, "deadly": True},
    "is never made, for the function died": {"applied": False, "deadly": True},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_batch_comes_to_the_same_end_when_a_call(
    way: dict[str, bool], yard: Yard, payloads: Payloads, fate: Fate, request: pytest.FixtureRequest
) -> None:
    label = f"c{list(WAYS.values()).index(way)}"
    undisturbed = story(yard, payloads, fate, f"{label}-calm")
    calls = undisturbed.pop("calls")
    step = 1 if request.config.getoption("--points") == "all" else len(WAYS)
    offset = list(WAYS.values()).index(way)

    wrong = {}
    for at in range(1 + offset % step, calls + 1, step):
        fate.at, fate.applied, fate.deadly = at, way["applied"], way["deadly"]
        disturbed = story(yard, payloads, fate, f"{label}-at-{at}")
        disturbed.pop("calls")
        if disturbed != undisturbed:
            wrong[at] = disturbed

    assert undisturbed["mails"] == [False, True]
    assert wrong == {}
