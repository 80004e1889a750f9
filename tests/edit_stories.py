"""Edit jobs as people do them, on the harness: a team with workers and reviewers, and a dataset."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.rules import read_rules
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.edits.upload import UploadKind
from jobyard.services.context import Actor
from jobyard.services.datasets import readers
from jobyard.services.edits import allocations, claims, proposals, reviews, uploads
from jobyard.services.edits.settings import put_settings
from jobyard.store import datasets, edits, teams
from jobyard.store.edits import Job
from tests.harness import ADMIN, Harness
from tests.people import sub_of
from tests.services.datasets.datasets import by_id, context_of, make_dataset

PLANNER = Actor(sub_of("paula"), "paula", frozenset({"planner"}))
ANNA, BEN = (Actor(sub_of(each), each, frozenset({"worker"})) for each in ("anna", "ben"))
RITA, RALF = (Actor(sub_of(each), each, frozenset({"reviewer"})) for each in ("rita", "ralf"))
TEAM = "roads"
WHOLE_WORLD = {"box": [-180, -90, 180, 90]}


def square(
    feature_id: str, west: float, south: float, size: float = 1.0, **properties: Any
) -> Feature:
    """A square with its south-west corner at `west`, `south`."""
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return Feature(feature_id, {"type": "Polygon", "coordinates": [ring]}, properties)


TWENTY = [square(str(n), 2 * (n % 5), 2 * (n // 5), name=f"n{n}", x=0) for n in range(20)]


class EditStory:
    """A dataset, a team, and what people do. After each act the machines run."""

    def __init__(
        self,
        harness: Harness,
        features: Iterable[Feature] = TWENTY,
        rules: Iterable[Mapping[str, Any]] = (),
        dataset: str = "counties",
        **settings: Any,
    ) -> None:
        self.harness = harness
        self.dataset = dataset
        self.context = context_of(harness)
        members = (
            TeamMember(User(ANNA.sub, ANNA.name), "anna@example.org"),
            TeamMember(User(BEN.sub, BEN.name), "ben@example.org"),
            TeamMember(User(RITA.sub, RITA.name), "rita@example.org", False, True),
            TeamMember(User(RALF.sub, RALF.name), "ralf@example.org", False, True),
        )
        with harness.interceptor.muted():
            if teams.find(TEAM) is None:
                teams.write(None, Team(TEAM, "Roads", members))
            made = make_dataset(dataset, features, self.context)
            checked = read_rules([*rules])
            datasets.put_settings(
                replace(made, rules=checked.documents, rules_version=checked.version, version=2)
            )
            put_settings(dataset, "border", settings, harness.context(ADMIN))

    # What people do

    def propose(self, extent: Mapping[str, Any] = WHOLE_WORLD, **fields: Any) -> str:
        """Propose and allocate an edit job; its id."""
        named = {"name": "Repair", "edit_type": "border", **fields}
        proposal = proposals.Proposal(self.dataset, parse_extent(extent), **named)
        job = proposals.propose(proposal, self.harness.context(PLANNER))
        self.harness.machines.run_all()
        return job.edit_id

    def allocate(self, edit_id: str) -> None:
        """Allocate an edit job to the team."""
        allocations.allocate(edit_id, TEAM, "", self.harness.context(PLANNER))
        self.harness.machines.run_all()

    def take(self, job_id: str, person: Actor = ANNA) -> dict[str, Any]:
        """Activate a job and download it. Returns its metadata."""
        claims.activate(job_id, self.harness.context(person))
        self.harness.machines.run_all()
        return self.download(job_id, person)

    def download(self, job_id: str, person: Actor = ANNA) -> dict[str, Any]:
        """Download the package of a job. Returns its metadata."""
        claims.download(job_id, self.harness.context(person))
        about: dict[str, Any] = json.loads(self.package(job_id).read("job.json"))
        return about

    def package(self, job_id: str) -> zipfile.ZipFile:
        """The package of a job."""
        found = edits.find(job_id)
        assert found is not None
        assert found.package is not None
        content = self.harness.s3.get_object(
            Bucket=self.harness.settings.work_bucket, Key=found.package.key
        )["Body"].read()
        assert hashlib.sha256(content).hexdigest() == found.package.digest
        return zipfile.ZipFile(BytesIO(content))

    def packed(self, job_id: str, name: str = "features.geojson") -> dict[str, Any]:
        """The properties of the features of a file of a package, by id."""
        collection = json.loads(self.package(job_id).read(name))
        return {each["id"]: each["properties"] for each in collection["features"]}

    def upload(
        self,
        job_id: str,
        *features: Feature,
        person: Actor = ANNA,
        kind: UploadKind = UploadKind.CHANGES,
        deleting: int | None = None,
        **members: Any,
    ) -> Job:
        """Upload features, with members of the collection such as `deleted`."""
        documents = [each.document() for each in features]
        collection = {"type": "FeatureCollection", "features": documents, **members}
        body = json.dumps(collection).encode()
        job = self.job(job_id)
        context = self.harness.context(person)
        key, _ = uploads.upload_form(job_id, job.attempt, "mine.geojson", context)
        self.harness.s3.put_object(Bucket=self.harness.settings.intake_bucket, Key=key, Body=body)
        package_id = job.package.package_id if job.package else ""
        sent = uploads.UploadRequest(
            key,
            job.attempt,
            package_id,
            hashlib.sha256(body).hexdigest(),
            kind,
            deleting,
            "done",
            30,
        )
        uploads.upload(job_id, sent, context)
        self.harness.machines.run_all()
        return self.job(job_id)

    def decide(self, child_id: str, decision: str, person: Actor = RITA) -> None:
        """Decide about a review."""
        decide = getattr(reviews, decision)
        decide(child_id, "so it is", self.harness.context(person))
        self.harness.machines.run_all()

    # What is stored

    def job(self, job_id: str) -> Job:
        """An edit job or a child."""
        found = edits.find(job_id)
        assert found is not None
        return found

    def edit(self, edit_id: str) -> EditJob:
        """An edit job."""
        return edits.get(edit_id)

    def child(self, edit_id: str) -> ChildJob:
        """The child that an edit job waits for."""
        return edits.get_child(self.edit(edit_id).open_child)

    def state(self, edit_id: str) -> str:
        """The state of an edit job."""
        return self.edit(edit_id).state.value

    def live(self) -> dict[str, Feature]:
        """The features that are live."""
        dataset = readers.head(self.dataset)
        reader = readers.RevisionReader(dataset, dataset.revision, self.context)
        return by_id(reader.all_features())

    def properties(self) -> dict[str, Any]:
        """The properties of the features that are live."""
        return {each: dict(feature.properties) for each, feature in self.live().items()}
