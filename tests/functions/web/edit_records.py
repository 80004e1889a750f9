"""Edit jobs in every state on a dataset of Californian counties, as services leave them."""

import gzip
import json
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cli.local.emulator import ROOT
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.validation_report import RuleFailure, ValidationReport
from jobyard.domain.edits.attachment import Attachment
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.merge import MergeConflict
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.edits.work import ChangeSet, Package, Priority
from jobyard.domain.history import HistoryEntry
from jobyard.services.context import Actor, CommandContext
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.attachments import token_of
from jobyard.services.edits.packages import PackageContents, write_package
from jobyard.services.edits.work_files import write_changes, write_json
from jobyard.store import datasets, edits, teams
from tests.domain.edits.edit_jobs import a_child, an_edit_job
from tests.functions.api.api_client import NOW
from tests.functions.web.browser import Browser
from tests.services.datasets.datasets import make_dataset
from tests.services.edits.edit_records import user
from tests.tables import KeptRecords

if TYPE_CHECKING:
    from jobyard.services.settings import Settings

TEAM = "borders"
DATASET = "counties"
ALAMEDA, STANISLAUS, SAN_JOAQUIN = "06001", "06099", "06077"
BAY = parse_extent({"box": [-122.4, 37.2, -120.8, 38.1]})
VALLEY = parse_extent({"polygon": [[-121.5, 36.8], [-119.0, 36.8], [-119.4, 38.2], [-121.4, 38.0]]})


WORKER, BEN, REVIEWER, PLANNER = (user(each) for each in ("worker", "ben", "reviewer", "planner"))

CUSTODIANS = (
    Attachment(
        1,
        "Rosa Vale",
        "rosa@example.org",
        "The plan of the new border",
        sends=1,
        expires_at=NOW + timedelta(days=13),
    ),
    Attachment(2, "Tom", "tom@example.org", "Photos of the stones"),
)


@cache
def counties() -> dict[str, Feature]:
    """The counties of California by their FIPS ids."""
    path = ROOT / "examples" / "datasets" / "counties.geojson.gz"
    listed = json.loads(gzip.decompress(path.read_bytes()))["features"]
    return {
        each["id"]: Feature(each["id"], each["geometry"], each["properties"])
        for each in listed
        if each["id"].startswith("06")
    }


def a_team(name: str = TEAM) -> Team:
    """A team with two workers, and two reviewers: ben is both."""
    members = [
        TeamMember(WORKER, "worker@example.org"),
        TeamMember(BEN, "ben@example.org", is_reviewer=True),
        TeamMember(REVIEWER, "reviewer@example.org", is_worker=False, is_reviewer=True),
    ]
    return teams.write(None, Team(name, "Borders of counties", tuple(members)))


def a_dataset(context: DatasetContext) -> Dataset:
    """The dataset, with two types of edit jobs."""
    made = make_dataset(DATASET, counties().values(), context)
    types = {
        "border": EditSettings(quarantine=True).document(),
        "names": EditSettings(latest=("name",)).document(),
    }
    changed = replace(made, title="Counties", edit_types=types, version=made.version + 1)
    datasets.put_settings(changed)
    return changed


def entry(event: str, after: str, by: User | None = None, hours: float = 2.0) -> HistoryEntry:
    """An entry of a history, some hours ago."""
    at = NOW - timedelta(hours=hours)
    name, sub = (by.name, by.sub) if by else ("", "")
    return HistoryEntry(event, after, after, at, name, f"{event}-{hours}", "", sub)


def changes_of_border() -> list[FeatureChange]:
    """A changed border, a new name, a new feature and a deleted one."""
    found = counties()
    before = found[ALAMEDA]
    ring = [[x, y] for x, y in before.geometry["coordinates"][0]] if before.geometry else []
    if before.geometry and before.geometry["type"] == "MultiPolygon":
        ring = [[x, y] for x, y in before.geometry["coordinates"][0][0]]
    moved = [[round(x + 0.05, 6), round(y - 0.04, 6)] for x, y in ring]
    square = [[-121.9, 37.3], [-121.6, 37.3], [-121.6, 37.6], [-121.9, 37.6], [-121.9, 37.3]]
    after = {
        ALAMEDA: Feature(ALAMEDA, {"type": "Polygon", "coordinates": [moved]}, before.properties),
        STANISLAUS: replace(found[STANISLAUS], properties={"name": "Stanislaus <b>", "seat": 1}),
        "new-1": Feature("new-1", {"type": "Polygon", "coordinates": [square]}, {"name": "New"}),
        "06075": None,
    }
    made = (change_of(each, found.get(each), feature) for each, feature in after.items())
    return [each for each in made if each]


class EditRecords:
    """The edit jobs of a deployment. `jobs` and `children` are by their names here."""

    def __init__(self, settings: "Settings", s3: Any, now: datetime = NOW) -> None:
        self.context = DatasetContext(settings, s3, lambda: now)
        self.team = a_team()
        self.dataset = a_dataset(self.context)
        self.jobs: dict[str, EditJob] = {}
        self.children: dict[str, ChildJob] = {}

    def job(self, name: str, state: str, /, **fields: Any) -> EditJob:
        """Store an edit job."""
        given: dict[str, Any] = {
            "name": f"{name.capitalize()}: border of Alameda",
            "dataset": DATASET,
            "extent": BAY,
            "planner": PLANNER,
            "team": "" if state == "proposed" else TEAM,
            "created_at": NOW - timedelta(days=2),
            "since": NOW - timedelta(hours=3),
            "history": (entry("propose", "proposed", PLANNER, 48),),
        }
        if state not in {"proposed", "blocked", "allocated"}:
            given |= {
                "worker": WORKER,
                "authors": (WORKER,),
                "base_revision": 1,
                "actual_start": NOW - timedelta(hours=20),
                "history": (
                    entry("propose", "proposed", PLANNER, 48),
                    entry("allocate", "allocated", PLANNER, 40),
                    entry("activate", "activated", WORKER, 20),
                ),
            }
        made = an_edit_job(state, name, **{**given, **fields})
        edits.put_new(made)
        self.jobs[name] = made
        return made

    def replaced(self, name: str, **fields: Any) -> EditJob:
        """Store an edit job again, with other fields."""
        before = self.jobs[name]
        after = replace(before, version=before.version + 1, **fields)
        edits.write(before, after)
        self.jobs[name] = after
        return after

    def child(
        self, name: str, failure_type: FailureType, state: str = "allocated", **fields: Any
    ) -> ChildJob:
        """Store the child of an edit job that waits for it."""
        parent = self.jobs[name]
        worker = None if failure_type.is_review else WORKER
        more = {"since": NOW - timedelta(hours=1), "created_at": NOW - timedelta(hours=1)}
        given = {"team": TEAM, "worker": worker, "subject": parent.workspace, **more}
        made = a_child(parent, failure_type, state, **{**given, **fields})
        after = replace(parent, version=parent.version + 1, **parent.with_child(failure_type))
        edits.write(parent, after, edits.ChildWrite(None, made))
        self.jobs[name] = after
        self.children[name] = made
        return made

    def child_with(self, name: str, **fields: Any) -> ChildJob:
        """Store a child again, with other fields."""
        before = self.children[name]
        after = replace(before, version=before.version + 1, **fields)
        edits.write(before, after)
        self.children[name] = after
        return after

    def workspace(self, name: str) -> ChangeSet:
        """Write the changes of an edit job."""
        made = write_changes(self.jobs[name], changes_of_border(), "source", self.context)
        self.replaced(name, workspace=made)
        return made

    def package(self, name: str) -> Package:
        """Write the package of an edit job."""
        job = self.jobs[name]
        inside = {
            each: feature for each, feature in counties().items() if job.extent.includes(feature)
        }
        contents = PackageContents(inside, {})
        made = write_package(job, job, contents, self.dataset, self.context)
        self.replaced(name, package=made)
        return made

    def package_of_child(self, name: str) -> Package:
        """Write the package of a child."""
        child, parent = self.children[name], self.jobs[name]
        inside = {each: counties()[each] for each in (ALAMEDA, STANISLAUS)}
        made = write_package(child, parent, PackageContents(inside, {}), self.dataset, self.context)
        self.child_with(name, package=made)
        return made

    def report(self, name: str) -> str:
        """Write the report of a validation; its key."""
        failures = (
            RuleFailure(
                *("no-overlap", "OVERLAP", ALAMEDA, "it overlaps 06099 by 12 square metres"),
                others=(STANISLAUS,),
                position=(-121.5, 37.6),
            ),
            RuleFailure("schema", "SCHEMA", STANISLAUS, "seat: 1 is not of type 'string'"),
        )
        inherited = (RuleFailure("valid", "INVALID_GEOMETRY", SAN_JOAQUIN, "it crosses itself"),)
        found = ValidationReport(failures, inherited, "rules-1")
        return write_json(
            f"edits/{self.jobs[name].edit_id}/report.json", found.document(), self.context
        )

    def conflicts(self, name: str) -> str:
        """Write conflicts; their key."""
        changes = {each.feature_id: each for each in changes_of_border()}
        base, mine = changes[STANISLAUS].before, changes[STANISLAUS].after
        assert base
        theirs = replace(base, properties={"name": "Stanislaus County", "seat": "Modesto"})
        mine_change = change_of(STANISLAUS, base, mine)
        their_change = change_of(STANISLAUS, base, theirs)
        assert mine_change
        assert their_change
        update = MergeConflict(
            *(STANISLAUS, mine_change.kind, their_change.kind),
            mine_change.difference & their_change.difference,
        )
        old = counties()[ALAMEDA]
        deleted = change_of(ALAMEDA, old, None)
        assert deleted
        moved = changes[ALAMEDA]
        delete = MergeConflict(ALAMEDA, moved.kind, deleted.kind, moved.difference)
        listed = [
            ConflictVersions(update, base, mine, theirs),
            ConflictVersions(delete, old, moved.after, None),
        ]
        key = f"edits/{self.jobs[name].edit_id}/conflicts.json"
        document = {"revision": 2, "conflicts": [each.document() for each in listed]}
        return write_json(key, document, self.context)

    def late_upload(self, name: str) -> str:
        """Keep an upload for the attempt before; the address of its differences."""
        job = self.replaced(name, attempt=self.jobs[name].attempt + 1)
        feature = counties()[ALAMEDA].document() | {"properties": {"name": "Alameda County"}}
        late = f"{job.attempt - 1}/{WORKER.sub}/1/border.geojson"
        self.context.s3.put_object(
            Bucket=self.context.settings.intake_bucket,
            Key=f"edits/{job.edit_id}/uploads/{late}",
            Body=json.dumps({"type": "FeatureCollection", "features": [feature]}).encode(),
        )
        return f"/edits/{job.edit_id}/uploads/diff?name={quote(late, safe='')}"


def somebody_names(feature_id: str, name: str, edit_id: str, context: DatasetContext) -> None:
    """Have somebody else commit the name of a county, by another edit job."""
    before = counties()[feature_id]
    change = change_of(feature_id, before, replace(before, properties={"name": name}))
    assert change
    origin = CommitOrigin(edit_id, 1, (Author(BEN.sub, BEN.name),), "the official name")
    commit(DATASET, 1, [change], origin, context)


def store_edits(settings: "Settings", s3: Any) -> EditRecords:
    """An edit job in every state, with its children and files."""
    made = EditRecords(settings, s3)
    made.job("proposed", "proposed", attachments=CUSTODIANS[1:])
    made.job("blocked", "blocked", attachments=CUSTODIANS)
    made.job("allocated", "allocated", planned_end=NOW + timedelta(days=3), extent=VALLEY)
    made.job("personal", "allocated", assignee=WORKER, planned_start=NOW - timedelta(days=1))
    made.job("activated", "activated")
    made.job("embargoed", "embargoed")
    made.child("embargoed", FailureType.EMBARGO_REVIEW)
    made.job("prepared", "prepared")
    made.package("prepared")
    made.job(
        "downloaded", "downloaded", priority=Priority.HIGH, planned_end=NOW - timedelta(hours=1)
    )
    made.package("downloaded")
    made.job("uploaded", "uploaded")
    made.workspace("uploaded")
    for name, state, failure_type in (
        ("invalid", "invalid", FailureType.VALIDATION),
        ("conflicted", "conflicted", FailureType.CONFLICT),
        ("quarantined", "quarantined", FailureType.QUARANTINE_REVIEW),
        ("corrected", "quarantined", FailureType.QUARANTINE_CORRECTIONS),
    ):
        made.job(name, state)
        made.workspace(name)
        reviewer = {"worker": REVIEWER} if failure_type.is_review else {}
        made.child(name, failure_type, "downloaded", **reviewer)
        made.package_of_child(name)
    made.child_with("invalid", findings=made.report("invalid"))
    made.child_with("conflicted", findings=made.conflicts("conflicted"))
    feedback = {
        "comment": "The border runs east of the road.",
        "reviewer": "reviewer",
        "edits": None,
    }
    key = f"edits/{made.jobs['corrected'].edit_id}/feedback.json"
    made.child_with("corrected", findings=write_json(key, feedback, made.context))
    ended = {"actual_end": NOW - timedelta(hours=5), "since": NOW - timedelta(hours=5)}
    made.job("committed", "committed", problem="EventBridge does not answer", revision=2)
    made.job("completed", "completed", revision=2, **ended)
    made.job("abandoned", "abandoned", worker=None, **ended)
    made.job("failed", "failed", worker=None, problem="the function answered 500", **ended)
    made.job("archived", "archived", **ended)
    theirs = made.jobs["completed"].edit_id
    somebody_names(STANISLAUS, "Stanislaus County", theirs, made.context)
    return made


def kept_edits(browser: Browser, kept: KeptRecords) -> EditRecords:
    """The same, made once for all tests that begin with it."""
    site = browser.function.SITE
    made = kept.get("edits", lambda: store_edits(site.settings, site.s3))
    mine = copy(made)
    mine.jobs, mine.children = {**made.jobs}, {**made.children}
    return mine


def link_of(browser: Browser, job: EditJob, index: int = 1) -> str:
    """The address of the link for an attachment of a job."""
    site = browser.function.SITE
    nobody = Actor("", "", frozenset())
    context = CommandContext(
        site.settings, site.s3, site.machines, site.now, nobody, "k", signing_key=site.cursor_key
    )
    return f"/attachments/{token_of(job, job.attachments[index - 1], context)}"
