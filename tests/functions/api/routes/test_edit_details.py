"""What an edit job is about, over the API: changes, a forecast, findings, rescued uploads."""

from dataclasses import replace
from typing import Any

import pytest

from jobyard.domain.datasets.changes import ChangeKind, Difference
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.merge import MergeConflict
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.work_files import write_changes, write_json
from jobyard.store import edits
from tests.functions.api.api_client import Api
from tests.people import sub_of
from tests.services.datasets.datasets import by_id, changes_to, make_dataset, origin, point
from tests.services.edits.edit_records import a_stored_child, a_stored_job, a_team, member
from tests.services.edits.requests_of import collection

BEFORE = by_id([point("1", 0, name="a"), point("2", 1, name="b"), point("3", 2)])
AFTER = by_id([point("1", 0, name="x"), point("3", 2), point("4", 3)])


@pytest.fixture
def files(api: Api) -> DatasetContext:
    from api.handler import CONTEXT

    context = DatasetContext(CONTEXT.settings, CONTEXT.s3, api.tick)
    a_team("north", member("anna"))
    make_dataset("roads", BEFORE.values(), context)
    return context


def worked_on(files: DatasetContext) -> EditJob:
    """An edit job on all roads whose worker has changed some."""
    whole = {"box": [-180, -90, 180, 90]}
    job = a_stored_job("downloaded", "anna", dataset="roads", extent=parse_extent(whole))
    changes = write_changes(job, changes_to(BEFORE, AFTER), "s", files)
    stored = replace(job, version=2, workspace=changes)
    edits.write(job, stored)
    return stored


def test_changes_are_listed_in_pages_with_the_features(api: Api, files: DatasetContext) -> None:
    job = worked_on(files)
    shown: list[Any] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = api.get(f"/edits/{job.edit_id}/changes", query=query, role="planner").json
        shown += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert [(each["id"], each["op"]) for each in shown] == [
        *(("1", "update"), ("2", "delete"), ("4", "insert")),
    ]
    assert shown[0]["properties"] == ["name"]
    assert shown[0]["after"]["properties"] == {"name": "x"}
    assert (shown[1]["after"], page["total"]) == (None, 3)
    assert not any(each["is_cut"] for each in shown)


def test_changes_and_conflicts_are_as_many_as_a_response_takes(
    api: Api, files: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("routes", "schemas"):
        monkeypatch.setattr(f"api.{name}.edit_details.RESPONSE_BYTES", 10)
    job = worked_on(files)
    path = f"/edits/{job.edit_id}/changes"
    first = api.get(path, role="planner").json
    second = api.get(path, query={"cursor": first["next_cursor"]}, role="planner").json
    both = ChangeKind.UPDATE, ChangeKind.UPDATE
    conflicts = [
        ConflictVersions(MergeConflict(name, *both, Difference(("x",))), None, None, None)
        for name in ("1", "2")
    ]
    stored = {"revision": 1, "conflicts": [each.document() for each in conflicts]}
    key = write_json("edits/conflicts.json", stored, files)
    child = a_stored_child(FailureType.CONFLICT, findings=key)

    found = api.get(f"/edits/{child.child_id}/findings", role="planner").json

    assert [[each["id"] for each in page["items"]] for page in (first, second)] == [["1"], ["2"]]
    assert ([each["id"] for each in found["conflicts"]], found["conflict_count"]) == (["1"], 2)
    for each in (*first["items"], *found["conflicts"]):
        assert each["is_cut"]
        assert not {"before", "after", "base", "mine", "theirs"}.intersection(
            name for name, value in each.items() if value
        )


def test_a_forecast_says_what_changed_live_and_who_else_is_there(
    api: Api, files: DatasetContext
) -> None:
    job, other = worked_on(files), worked_on(files)
    commit("roads", 1, changes_to(BEFORE, AFTER), origin(), files)

    forecast = api.get(f"/edits/{job.edit_id}/forecast", role="worker", name="anna").json

    assert (
        forecast["summary"] == "3 of your features changed in the dataset; 1 open edit job overlaps"
    )
    assert (forecast["changed"], forecast["revision"]) == (["1", "2", "4"], 2)
    assert [each["id"] for each in forecast["overlapping"]] == [other.edit_id]
    idle = a_stored_job("allocated").edit_id
    assert api.get(f"/edits/{idle}/forecast", role="planner").json["is_out"] is False


@pytest.mark.parametrize("lists_features", [True, False])
def test_a_forecast_finds_features_in_an_area_and_areas_with_features(
    lists_features: bool, api: Api, files: DatasetContext
) -> None:
    area, near, far = ({"box": [west, -0.5, west + 1, 0.5]} for west in (0.5, 0.8, 50))
    listed = {"features": ["2", "3"]}  # at 1 and 2
    own, others = (listed, (near, far)) if lists_features else (area, (listed, {"features": ["3"]}))
    job, first, _ = (
        a_stored_job(
            "downloaded", "anna", dataset="roads", extent=parse_extent(extent), base_revision=1
        )
        for extent in (own, *others)
    )

    found = api.get(f"/edits/{job.edit_id}/forecast", role="worker", name="anna").json

    assert [each["id"] for each in found["overlapping"]] == [first.edit_id]


def test_the_findings_of_a_fixup_are_its_failures(api: Api, files: DatasetContext) -> None:
    failure = {
        "rule": "names",
        "code": "UNIQUE",
        "feature_id": "1",
        "others": ["2"],
        "message": "the name is used twice",
        "position": None,
    }
    report = {
        "rules_version": "v",
        "failures": [failure],
        "inherited": [],
        "more": 0,
        "skipped": [],
    }
    key = write_json("edits/report.json", report, files)
    child = a_stored_child(FailureType.VALIDATION, findings=key)

    found = api.get(f"/edits/{child.child_id}/findings", role="planner").json
    refused = api.get(f"/edits/{child.parent_id}/findings", role="planner")

    assert found["report"]["failures"] == [failure]
    assert (found["conflicts"], found["is_kept"]) == ([], True)
    assert refused.status == 400


def test_a_rescued_upload_is_shown_as_a_diff_to_its_worker(api: Api, files: DatasetContext) -> None:
    job = a_stored_job("downloaded", "anna", dataset="roads", attempt=2)
    key = f"edits/{job.edit_id}/uploads/1/{sub_of('anna')}/r/mine.geojson"
    body = collection(point("1", 0, name="x").document(), point("3", 2).document())
    files.s3.put_object(Bucket=files.settings.intake_bucket, Key=key, Body=body)

    (upload,) = api.get(f"/edits/{job.edit_id}/rescued", role="worker", name="anna").json["items"]
    diff = api.get(
        f"/edits/{job.edit_id}/rescued/diff",
        query={"name": upload["name"]},
        role="worker",
        name="anna",
    ).json

    assert (upload["attempt"], upload["filename"]) == (1, "mine.geojson")
    assert [(each["id"], each["op"]) for each in diff["changes"]] == [("1", "update")]
    assert (diff["same"], diff["is_complete"]) == (1, True)
    assert key in diff["url"]
    a_team("north", member("anna"), member("ben"))
    others = api.get(f"/edits/{job.edit_id}/rescued", role="worker", name="ben").json["items"]
    assert others == []
