"""`make demo-edit`: people repair the border of two counties together, on the local stack."""

import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from cli.client import ApiClient, Document
from cli.demo_runner import DemoFailed, DemoOptions, DemoRunner, Keep, Port, WebPort, run_demo
from jobyard.domain.datasets.geometry import crossing_in

COUNTIES = "examples/datasets/counties.geojson.gz"
ALAMEDA, STANISLAUS = "06001", "06099"
NAMES = {ALAMEDA: "Alameda", STANISLAUS: "Stanislaus"}
TEAM, EDIT_TYPE = "surveyors", "border"
OTHER = "worker-2"  # who is done first
SPIKE = [-121.470975, 37.481556]  # the corner at which both counties intersect themselves
_POLL_S = 0.2
_TIMEOUT_S = 120.0

Feature = dict[str, Any]  # as in GeoJSON


def demo(
    keep: Keep = False,
    port: Port = None,
    web_port: WebPort = None,
) -> None:
    """Have a planner, a worker and a reviewer repair a border, and show it before and after."""
    options = DemoOptions(
        keep,
        port,
        web_port,
        None,
        users=("planner", "worker", "reviewer"),
        commands=(
            ("jobyard dataset list", "list the datasets; then try dataset show, changes"),
            ("jobyard edit list", "list the edit jobs that you have proposed"),
            ("jobyard lifecycle edit", "show the states of an edit job"),
        ),
        document=("docs/edit-jobs.md", "what planners, workers, reviewers and custodians do"),
    )
    run_demo(
        options,
        tempfile.TemporaryDirectory(prefix="jobyard-demo-"),
        lambda folder, running, console: play(
            DemoRunner(console, Path(folder), running.endpoint), Path(folder)
        ),
    )


def without_spike(feature: Feature) -> Feature:
    """A county without the corner at which it intersects itself."""
    (ring,) = feature["geometry"]["coordinates"]
    return _with_ring(feature, [each for each in ring if each != SPIKE])


def with_self_intersection(feature: Feature) -> Feature:
    """A repaired county, but with two corners in the wrong order, so that it crosses itself."""
    (ring,) = without_spike(feature)["geometry"]["coordinates"]
    swapped = (
        _with_ring(feature, [*ring[:at], ring[at + 1], ring[at], *ring[at + 2 :]])
        for at in range(1, len(ring) - 2)
    )
    return next(filter(intersects_itself, swapped))


def _with_ring(feature: Feature, ring: list[Any]) -> Feature:
    return feature | {"geometry": {"type": "Polygon", "coordinates": [ring]}}


def intersects_itself(feature: Feature) -> bool:
    """Whether the county's only ring crosses or touches itself."""
    (ring,) = feature["geometry"]["coordinates"]
    return crossing_in(ring) is not None


def play(runner: DemoRunner, folder: Path) -> str:
    """Play the demo. Returns the path of the page of the edit job."""
    story = _Story(runner, folder, runner.as_user("admin").api(""))
    dataset = story.load()

    runner.section("Alameda and Stanislaus intersect themselves at the corner that they share")
    story.show_corner(dataset, 1)

    runner.section("A planner proposes a repair, and allocates it to a team")
    edit_id = story.propose(dataset, "Repair the corner of two counties", ALAMEDA, STANISLAUS)

    runner.section("A worker claims it, downloads its package, and makes a mistake")
    counties = story.claim("worker", edit_id)
    mistaken = [without_spike(counties[ALAMEDA]), with_self_intersection(counties[STANISLAUS])]
    story.upload(edit_id, mistaken, "the corner is gone")
    invalid = story.await_state(edit_id, "invalid")

    runner.section("Its changes break a rule: the worker gets a fix-up with what is wrong")
    fixup_id = invalid["open_child"]
    runner.run("worker", "edit", "findings", fixup_id)

    runner.section("Meanwhile another worker changes a name, and is done first")
    rename_id = story.propose(dataset, "The full name of Stanislaus", STANISLAUS, reviewed=False)
    named = story.claim(OTHER, rename_id)[STANISLAUS]
    named["properties"] = {"name": "Stanislaus County"}
    story.upload(rename_id, [named], "its full name", OTHER)
    story.await_state(rename_id, "completed")

    runner.section("The worker repairs the mistake, and writes that name in another way")
    story.claim("worker", fixup_id)
    repaired = [without_spike(each) for each in counties.values()]
    next(each for each in repaired if each["id"] == STANISLAUS)["properties"] = {
        "name": "Stanislaus Co."
    }
    story.upload(fixup_id, repaired, "no self-intersection any more")
    quarantined = story.await_state(edit_id, "quarantined")

    runner.section("A reviewer who had no part in it sees what changes, and approves")
    review_id = quarantined["open_child"]
    story.claim("reviewer", review_id)
    runner.run("reviewer", "edit", "changes", review_id)
    runner.run("reviewer", "edit", "review", review_id, "approve", "--comment", "as surveyed")
    conflicted = story.await_state(edit_id, "conflicted")

    runner.section("Both gave Stanislaus a name: a conflict. The worker takes the other one")
    conflict_id = conflicted["open_child"]
    runner.run("worker", "edit", "findings", conflict_id)
    story.claim("worker", conflict_id)
    runner.run("worker", "edit", "upload", conflict_id, "--choice", f"{STANISLAUS}=theirs")
    done = story.await_state(edit_id, "completed")

    runner.section("It is committed: no work is lost, and the history says who did what")
    story.show_corner(dataset, done["revision"])
    runner.run("worker", "dataset", "history", dataset, STANISLAUS)
    return f"edits/{edit_id}"


@dataclass(frozen=True)
class _Story:
    """The steps of the demo. `admin` reads what it waits for."""

    runner: DemoRunner
    folder: Path
    admin: ApiClient

    def load(self) -> str:
        """Load the counties, with a team and reviews. Returns the dataset's name."""
        taken = {each["name"] for each in self.admin.list_items("/datasets")["items"]}
        names = ("counties", *(f"counties-{number}" for number in range(2, 1000)))
        name = next(each for each in names if each not in taken)
        self.runner.section("An admin loads 3,231 counties, which people are to edit")
        self.runner.run("admin", "dataset", "load", name, COUNTIES)
        members = ("--worker", "worker", "--worker", OTHER, "--reviewer", "reviewer")
        self.runner.run("admin", "team", "put", TEAM, *members)
        wanted = json.dumps({"quarantine": True})
        self.runner.run("admin", "edit", "settings", name, EDIT_TYPE, "--set", wanted)
        return name

    def show_corner(self, dataset: str, revision: int) -> None:
        """Print whether the counties intersect themselves at a revision."""
        for feature_id, name in NAMES.items():
            path = f"/datasets/{dataset}/feature"
            feature = self.admin.get(path, id=feature_id, revision=revision)
            word = "intersects itself" if intersects_itself(feature) else "is sound"
            line = Text.assemble((f"revision {revision}  ", "dim"), (name, "bold"), f" {word}")
            self.runner.console.print(line)

    def propose(self, dataset: str, name: str, *features: str, reviewed: bool = True) -> str:
        """Propose and allocate an edit job. Returns its id."""
        planner = self.runner.as_user("planner").api("")
        chosen = [part for each in features for part in ("--feature", each)]
        options = ["--name", name, "--type", EDIT_TYPE, *chosen, "--buffer", "0.1"]
        options += [] if reviewed else ["--no-quarantine"]
        self.runner.run("planner", "edit", "propose", dataset, *options)
        edit_id = str(planner.list_items("/edits")["items"][0]["id"])
        self.runner.run("planner", "edit", "allocate", edit_id, TEAM)
        return edit_id

    def claim(self, user: str, job_id: str) -> dict[str, Feature]:
        """Activate a job and download its package. Returns its features by id."""
        self.runner.run(user, "edit", "activate", job_id)
        self.await_state(job_id, "prepared")
        file = self.folder / f"{job_id}.zip"
        self.runner.run(user, "edit", "download", job_id, "--to", str(file))
        with zipfile.ZipFile(file) as package:
            collection = json.loads(package.read("features.geojson"))
        return {each["id"]: each for each in collection["features"]}

    def upload(
        self, job_id: str, features: list[Feature], comment: str, user: str = "worker"
    ) -> None:
        """Upload edited features."""
        file = self.folder / f"{job_id}.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        self.runner.run(user, "edit", "upload", job_id, str(file), "--comment", comment)

    def await_state(self, job_id: str, state: str) -> Document:
        """Print the states of a job until it is in `state`, and return it then.

        Raises:
            DemoFailed: it took too long.
        """
        return _await(
            lambda: self.admin.get(f"/edits/{job_id}"), state, lambda line: self._show(job_id, line)
        )

    def _show(self, job_id: str, state: str) -> None:
        at = datetime.now().astimezone()
        text = Text.assemble((f"{at:%H:%M:%S}  ", "dim"), (f"{job_id[:6]}…  ", "bold"), state)
        self.runner.console.print(text)


def _await(read: Callable[[], Document], state: str, show: Callable[[str], None]) -> Document:
    deadline = time.monotonic() + _TIMEOUT_S
    shown = ""
    while time.monotonic() < deadline:
        found = read()
        if found["state"] != shown:
            shown = str(found["state"])
            show(shown.upper().replace("_", " "))
        if shown == state:
            return found
        time.sleep(_POLL_S)
    raise DemoFailed(f"it is still {shown} after {_TIMEOUT_S:.0f} seconds")


if __name__ == "__main__":
    typer.run(demo)
