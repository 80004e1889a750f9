"""An edit job ends the same whichever call of the machine a worker dies at, and readers never see a
part of a commit. What one person changed is live, or was shown to somebody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EditState
from jobyard.services.context import Actor
from jobyard.services.edits import claims
from jobyard.services.edits.settings import put_settings
from jobyard.store.due_work import due_edits
from tests.edit_stories import ADMIN, ANNA, BEN, RALF, RITA, TWENTY, EditStory, square
from tests.harness import Harness
from tests.services.datasets.crashes import Died, DyingAt

pytestmark = pytest.mark.emulator
PART = 48  # of the calls, one part in each of a way's turns
SIX = TWENTY[:6]
MAX_MINUTES = 12  # until what died is done


class Lost(AssertionError):
    """An execution is lost with its worker: no state of it can handle the failure."""


class MainStory:
    """A job with a child of each type, on a machine whose workers may die once: under embargo,
    then invalid, in conflict, reviewed with corrections, reviewed again and committed.
    """

    def __init__(self, harness: Harness, name: str) -> None:
        self.settings = {
            "latest": ["x"],
            "mails": False,  # they would be sent by the ticks of all later stories
        }
        self.story = EditStory(
            harness, SIX, [{"rule": "no_overlap"}], name, **self.settings, embargo=True
        )
        self.harness = harness
        put_settings(name, "names", self.settings, harness.context(ADMIN))
        self.seen: list[Any] = []  # what readers saw, each state once
        self.look()

    def run(self) -> dict[str, Any]:
        """Run it to its end. Returns what counts of that."""
        story = self.story
        edit_id = story.propose()
        story.allocate(edit_id)
        self.act(lambda: claims.activate(edit_id, self.harness.context(ANNA)))
        self.review(edit_id, RITA, "approve")
        story.download(edit_id)
        rival = story.propose(edit_type="names")
        story.allocate(rival)
        self.act(lambda: claims.activate(rival, self.harness.context(BEN)))
        story.download(rival, BEN)
        wide = square("0", 0, 0, 2.5, name="anna", x=1), square("9", 60, 60, name="new")
        self.act(lambda: story.upload(edit_id, *wide, deleted=["1"]))
        live = square("0", 0, 0, name="ben", x=0), square("2", 4, 0, name="ben", x=0)
        self.act(lambda: story.upload(rival, *live, person=BEN))
        self.fix(edit_id, square("0", 0, 0, name="anna", x=1))
        reviewed = {**self.settings, "quarantine": True}
        put_settings(story.dataset, "border", reviewed, self.harness.context(ADMIN))
        self.fix(edit_id, choices={"0": "mine"})
        by_rita = square("3", 6, 0, name="rita", x=0)
        self.review(edit_id, RITA, "require_corrections", by_rita)
        self.fix(edit_id, square("4", 8, 0, name="corrected", x=0))
        self.review(edit_id, RALF, "approve")
        jobs = [story.edit(edit_id), story.edit(rival)]
        return {
            "states": [each.state.value for each in jobs],
            "children": [dict(each.children) for each in jobs],
            "authors": [{author.name for author in each.authors} for each in jobs],
            "revisions": [each.revision for each in jobs],
            "live": story.properties(),
            "seen": self.seen,
            "published": {
                (each["edit_id"] == edit_id, each["revision"])
                for each in self.harness.published
                if each["dataset"] == story.dataset
            },
            "files": self.files_of(edit_id) + self.files_of(rival),
        }

    def fix(self, edit_id: str, *features: Feature, **members: Any) -> None:
        """Have the worker do the open fix-up of a job."""
        fixup_id = self.claim(edit_id, ANNA)
        self.act(lambda: self.story.upload(fixup_id, *features, **members))

    def review(self, edit_id: str, reviewer: Actor, decision: str, *own: Feature) -> None:
        """Have a reviewer decide the open review of a job, with edits of their own."""
        review_id = self.claim(edit_id, reviewer)
        if own:
            self.act(lambda: self.story.upload(review_id, *own, person=reviewer))
        self.act(lambda: self.story.decide(review_id, decision, reviewer))

    def claim(self, edit_id: str, person: Actor) -> str:
        """Activate and download the open child of a job. Returns its id."""
        child_id = self.story.child(edit_id).child_id
        self.act(lambda: claims.activate(child_id, self.harness.context(person)))
        self.story.download(child_id, person)
        return child_id

    def act(self, do: Callable[[], Any]) -> None:
        """Do what a person does, and let minutes pass until the machine has nothing to do."""
        with surviving():
            do()
        for _ in range(MAX_MINUTES):
            with surviving():
                self.harness.machines.run_all()
            self.look()
            if not self.is_working():
                return
            self.harness.advance(61)
            with surviving():
                self.harness.tick()
        raise AssertionError("the machine does not end")

    def look(self) -> None:
        """Note what a reader sees."""
        found = self.story.properties()
        if not self.seen or found != self.seen[-1]:
            self.seen.append(found)

    def is_working(self) -> bool:
        """Whether a job or a child of the story waits for the machine."""
        return any(True for _ in due_edits(self.harness.now()))

    def files_of(self, edit_id: str) -> list[str]:
        """The files that are left of a job, but for what was found in what was uploaded."""
        found = self.harness.s3.list_objects_v2(Bucket="work", Prefix=f"edits/{edit_id}/")
        keys = [each["Key"] for each in found.get("Contents", ())]
        return [each for each in keys if "/log/upload-" not in each]


@contextmanager
def surviving() -> Iterator[None]:
    """What a worker's death does to others: nothing."""
    with suppress(Died, Lost):
        yield


@contextmanager
def dying(harness: Harness, listener: DyingAt, *, is_lost: bool) -> Iterator[None]:
    """Have a listener kill a worker of the machine. Its execution tries again, or is lost too."""
    invoke = harness.machines.invoke

    def listened(
        name: str, function: Callable[[dict[str, Any]], Any], event: dict[str, Any]
    ) -> Any:
        try:
            with harness.interceptor.listening(listener):
                return invoke(name, function, event)
        except Died as error:
            if is_lost:
                raise Lost(str(error)) from error
            raise

    harness.machines.invoke = listened
    try:
        yield
    finally:
        harness.machines.invoke = invoke


@pytest.mark.turns(4)
@pytest.mark.parametrize("is_lost", [False, True], ids=["retried", "lost"])
@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_an_edit_job_ends_the_same_whichever_call_a_worker_dies_at(
    harness: Harness, turn: int, everything: bool, is_sent: bool, is_lost: bool
) -> None:
    counter = DyingAt(-1, is_sent=False)
    with dying(harness, counter, is_lost=False):
        baseline = MainStory(harness, "baseline").run()
    calls = counter.calls
    assert baseline["states"] == [EditState.COMPLETED.value] * 2
    assert baseline["children"][0] == {**dict.fromkeys(FailureType, 1), "QUARANTINE_REVIEW": 2}
    assert baseline["authors"] == [{"anna", "rita"}, {"ben"}]
    live = {name: properties["name"] for name, properties in baseline["live"].items()}
    assert live == {"0": "anna", "2": "ben", "3": "rita", "4": "corrected", "5": "n5", "9": "new"}
    assert len(baseline["seen"]) == 3
    assert baseline["published"] == {(False, 2), (True, 3)}
    assert baseline["files"] == []
    wrong = {}

    for number in range(len(calls)):
        if not everything and (number + turn // 4) % PART:
            continue
        killer = DyingAt(number, is_sent=is_sent)
        with dying(harness, killer, is_lost=is_lost):
            result = MainStory(harness, f"n{number}").run()
        assert killer.calls[number] == calls[number]
        if result != baseline:
            wrong[f"{number} {calls[number]}"] = {
                key: value for key, value in result.items() if value != baseline[key]
            }

    assert wrong == {}


def test_every_task_of_the_machine_may_run_twice(harness: Harness) -> None:
    baseline = MainStory(harness, "once").run()
    invoke = harness.machines.invoke

    def twice(name: str, function: Callable[[dict[str, Any]], Any], event: dict[str, Any]) -> Any:
        first = invoke(name, function, event)
        again = invoke(name, function, event)
        return first if first["task"] != "end" else again

    harness.machines.invoke = twice

    assert MainStory(harness, "twice").run() == baseline
