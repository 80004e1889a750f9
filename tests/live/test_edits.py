"""An edit job on the real local stack: a planner, a worker and a reviewer carry it through."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.live.api_user import ApiUser

UserOfRole = Callable[[str], ApiUser]
PARCELS = "parcels"
PROPOSED = {
    "dataset": PARCELS,
    "extent": {"features": ["2"]},
    "name": "The second parcel",
    "type": "border",
    "buffer": 0.5,
}


def square(feature_id: str, west: float, name: str, *, crosses: bool = False) -> dict[str, Any]:
    """A parcel, one degree wide. If it `crosses` itself it is an hourglass."""
    corners = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1]]
    if crosses:
        corners[2], corners[3] = corners[3], corners[2]
    ring = [*corners, corners[0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": {"name": name}}


def collection(*features: dict[str, Any]) -> bytes:
    """A GeoJSON file."""
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def send(upload: Any, content: bytes) -> None:
    """Send a file with an upload form."""
    files = {"file": ("parcels.geojson", content)}
    sent = httpx.post(upload["url"], data=upload["fields"], files=files, trust_env=False)
    assert sent.is_success, sent.text


@pytest.fixture(scope="module")
def dataset(api_user: UserOfRole) -> None:
    """The parcels are loaded, their changes are validated and reviewed, and a team is there."""
    admin = api_user("admin")
    form = admin.post("/api/datasets/uploads", filename="parcels.geojson")
    send(form["upload"], collection(*(square(str(at), at, f"Parcel {at}") for at in range(20))))
    load = admin.post("/api/datasets", name=PARCELS, file=form["file"])
    admin.await_state(f"/api/datasets/{PARCELS}/loads/{load['load_id']}", "loaded")
    rules = {"rules": [{"rule": "geometry"}], "reason": "parcels are polygons"}
    team = {"workers": ["worker"], "reviewers": ["reviewer"]}
    settings = {"quarantine": True, "reviewers": "surveyors"}
    for path, body in (
        (f"/api/datasets/{PARCELS}", rules),
        ("/api/teams/surveyors", team),
        (f"/api/edit-settings/{PARCELS}/border", settings),
    ):
        answer = admin.api.put(path, json=body)
        assert answer.is_success, answer.text


def claim(person: ApiUser, job_id: str) -> dict[str, Any]:
    """The job, after its person has activated it and downloaded its package."""
    person.post(f"/api/edits/{job_id}/activate")
    job = person.await_state(f"/api/edits/{job_id}", "prepared")
    link = person.post(f"/api/edits/{job_id}/download")
    package = httpx.get(link["url"], trust_env=False).content
    assert hashlib.sha256(package).hexdigest() == job["package"]["digest"]
    names = zipfile.ZipFile(io.BytesIO(package)).namelist()
    assert {"job.json", "features.geojson", "checksums.sha256"} <= {*names}
    return dict(job)


def upload(person: ApiUser, job: dict[str, Any], content: bytes) -> None:
    """Upload changes to a job."""
    path = f"/api/edits/{job['id']}"
    form = person.post(f"{path}/upload-form", attempt=job["attempt"], filename="parcels.geojson")
    send(form["upload"], content)
    person.post(
        f"{path}/upload",
        key=form["key"],
        attempt=job["attempt"],
        package_id=job["package"]["package_id"],
        digest=hashlib.sha256(content).hexdigest(),
    )


def test_edits_that_break_a_rule_are_mended_reviewed_and_committed(
    api_user: UserOfRole, dataset: None
) -> None:
    planner, worker, reviewer = map(api_user, ("planner", "worker", "reviewer"))
    edit_id = planner.post("/api/edits", **PROPOSED)["id"]
    path = f"/api/edits/{edit_id}"
    planner.post(f"{path}/allocate", team="surveyors")

    upload(worker, claim(worker, edit_id), collection(square("2", 2, "Second", crosses=True)))
    invalid = worker.await_state(path, "invalid")
    upload(worker, claim(worker, invalid["open_child"]), collection(square("2", 2, "Second")))
    quarantined = worker.await_state(path, "quarantined")
    claim(reviewer, quarantined["open_child"])
    reviewer.post(f"/api/edits/{quarantined['open_child']}/approve", comment="as surveyed")
    done = planner.await_state(path, "completed")

    assert [each["failure_type"] for each in done["children"]] == [
        "VALIDATION",
        "QUARANTINE_REVIEW",
    ]
    assert done["revision"] == 2
    assert done["approval"]["reviewer"] == "reviewer"
    (change,) = planner.get(f"/api/datasets/{PARCELS}/history?id=2")["items"]
    assert change["edit_id"] == edit_id
    assert change["after"]["properties"] == {"name": "Second"}
    assert change["before"]["properties"] == {"name": "Parcel 2"}
