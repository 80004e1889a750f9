"""Edit jobs over the API: each role's part of the story, and the refusals."""

from typing import Any

import pytest

from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EditState
from jobyard.store import edits
from tests.functions.api.api_client import Answer, Api
from tests.services.edits.edit_records import (
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
    requested,
    sent_attachments,
)

PROPOSAL = {
    "dataset": "counties",
    "extent": {"box": [-122.5, 37.4, -121.4, 37.9]},
    "name": "Repair the border",
    "type": "border",
    "priority": "high",
    "planned_end": "2026-12-01T12:00:00Z",
    "attachments": [
        {"custodian": "Ines", "email": "ines@example.org", "description": "the survey"}
    ],
}


@pytest.fixture(autouse=True)
def team(api: Api) -> None:
    a_team("north", member("anna"), member("zoe", worker=False, reviewer=True))
    a_dataset(border={"quarantine": True})


def plan(api: Api, path: str, body: Any = None) -> Answer:
    """A request of the planner."""
    return api.post(path, body or {}, role="planner")


def work(api: Api, path: str, body: Any = None, name: str = "anna") -> Answer:
    """A request of a worker."""
    return api.post(path, body or {}, role="worker", name=name)


def test_a_planner_proposes_changes_and_allocates_an_edit_job(api: Api) -> None:
    made = plan(api, "/edits", PROPOSAL)
    job_id = made.json["id"]

    changes = {"name": "Again", "reason": "typo"}
    edited = api.request("PATCH", f"/edits/{job_id}", body=changes, role="planner")
    allocated = plan(api, f"/edits/{job_id}/allocate", {"team": "north"})
    listed = api.get("/edits", role="planner").json
    copied = plan(api, f"/edits/{job_id}/copy")

    assert (copied.status, copied.json["state"], copied.json["name"]) == (201, "proposed", "Again")
    assert copied.headers["location"].endswith(copied.json["id"])
    kept = ("dataset", "extent", "type", "priority", "buffer", "quarantine")
    assert [copied.json[each] for each in kept] == [allocated.json[each] for each in kept]
    assert copied.json["planned_end"] is None
    (asked,) = copied.json["attachments"]
    assert (asked["custodian"], asked["sends"]) == ("Ines", 0)
    assert (made.status, made.json["state"], made.json["actions"]) == (
        201,
        "proposed",
        ["edit", "delete", "allocate"],
    )
    assert made.headers["location"].endswith(f"/api/edits/{job_id}")
    assert (edited.json["name"], edited.json["extent"]) == ("Again", PROPOSAL["extent"])
    assert (allocated.json["state"], allocated.json["team"]) == ("blocked", "north")
    assert allocated.json["attachments"][0]["sends"] == 1
    assert [each["id"] for each in listed["items"]] == [job_id]
    assert listed["next_cursor"] is None


def test_a_search_leads_to_edit_jobs_and_their_children(api: Api) -> None:
    child = a_stored_child(FailureType.VALIDATION)

    for kind, found_id in (("edit", child.parent_id), ("fixup", child.child_id)):
        (item,) = api.get("/find", query={"q": found_id}).json["items"]
        assert (item["kind"], item["found_id"]) == (kind, found_id)
        path = item["links"]["self"].partition("/api")[2]
        assert api.get(path).json["id"] == found_id


def test_a_worker_finds_activates_and_downloads_an_edit_job(api: Api) -> None:
    job_id = a_stored_job("allocated").edit_id
    mine = a_stored_job("prepared", "anna").edit_id

    columns = api.get("/worklist", role="worker", name="anna").json["columns"]
    activated = work(api, f"/edits/{job_id}/activate")
    link = work(api, f"/edits/{mine}/download")
    page = api.get("/worklist/downloaded", role="worker", name="anna").json

    shown = {each["column"]: [job["id"] for job in each["items"]] for each in columns}
    assert (shown["allocated"], shown["prepared"]) == ([job_id], [mine])
    assert (activated.json["state"], activated.json["worker"]["name"]) == ("activated", "anna")
    assert link.json["filename"] == f"{mine}.1.1.zip"
    assert link.json["job"]["state"] == "downloaded"
    assert [each["id"] for each in page["items"]] == [mine]


def test_an_upload_has_a_form_and_a_confirmation(api: Api) -> None:
    job_id = a_stored_job("downloaded", "anna").edit_id
    form = work(api, f"/edits/{job_id}/upload-form", {"attempt": 1, "filename": "edits.geojson"})
    body = {
        "key": form.json["key"],
        "attempt": 1,
        "package_id": f"{job_id}.1.1",
        "digest": "d" * 64,
    }

    refused = work(api, f"/edits/{job_id}/upload", body)
    late = work(api, f"/edits/{job_id}/upload", {**body, "package_id": f"{job_id}.1.2"})

    assert form.json["upload"]["fields"]["key"] == form.json["key"]
    assert (refused.status, refused.kind) == (400, "bad-request")
    assert "no file was uploaded" in refused.json["detail"]
    assert (late.status, late.kind) == (409, "invalid-transition")
    assert "download it" in late.json["detail"]


@pytest.mark.parametrize(
    ("event", "after"),
    [
        ("approve", "approved"),
        ("require_corrections", "corrections_required"),
        ("discard", "discarded"),
    ],
)
def test_a_reviewer_decides(event: str, after: str, api: Api) -> None:
    review = a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe")

    decided = api.post(
        f"/edits/{review.child_id}/{event}", {"comment": "so"}, role="reviewer", name="zoe"
    )
    parent = api.get(f"/edits/{review.parent_id}", role="planner").json

    assert (decided.json["state"], decided.json["comment"]) == (after, "so")
    assert decided.json["failure_type"] == "QUARANTINE_REVIEW"
    assert decided.json["links"]["edit"].endswith(review.parent_id)
    assert after in [each["state"] for each in parent["children"]]


def test_refusals_name_the_state_the_role_or_the_person(api: Api) -> None:
    job_id = a_stored_job("downloaded", "anna").edit_id
    a_team("north", member("anna"), member("ben"))

    other = work(api, f"/edits/{job_id}/relinquish", name="ben")
    admin = api.post(f"/edits/{job_id}/relinquish", {}, role="admin")
    state = plan(api, f"/edits/{job_id}/retry", {"reason": "x"})
    nobody = api.get(f"/edits/{job_id}", role="worker", name="stranger")
    unknown = plan(api, f"/edits/{job_id}/explode")

    assert (other.status, "anna has it" in other.json["detail"]) == (403, True)
    assert (admin.status, admin.json["detail"][:13]) == (403, "only a worker")
    assert (state.status, "is downloaded: cannot retry" in state.json["detail"]) == (409, True)
    assert nobody.status == 404
    assert unknown.status in {403, 404}


def test_attachments_are_requested_sent_again_and_answered_by_a_planner(api: Api) -> None:
    proposed = a_stored_job().edit_id
    blocked = a_stored_job("blocked", attachments=requested(sends=1)).edit_id
    ask = {"custodian": "Jon", "email": "jon@example.org", "description": "photos"}

    made = plan(api, f"/edits/{proposed}/attachments", ask)
    again = plan(api, f"/edits/{blocked}/attachments/1/resend")
    form = plan(api, f"/edits/{blocked}/attachments/1/upload-form", {"filename": "survey.zip"})
    answered = plan(api, f"/edits/{blocked}/attachments/1/answer", {"reason": "lost"})

    sent = a_stored_job("blocked", attachments=sent_attachments()).edit_id
    link = api.get(f"/edits/{sent}/attachments/1/download", role="planner").json
    unsent = api.get(f"/edits/{blocked}/attachments/1/download", role="planner")

    assert ("X-Amz-Signature" in link["url"], link["filename"]) == (True, "survey.zip")
    assert (unsent.status, "no file of an attachment 1" in unsent.json["detail"]) == (404, True)
    assert made.json["attachments"][0]["custodian"] == "Jon"
    assert again.json["attachments"][0]["sends"] == 2
    assert form.json["key"].startswith(f"edits/{blocked}/attachments/1/")
    assert (answered.json["state"], answered.json["attachments"][0]["state"]) == (
        "allocated",
        "declined",
    )


def test_many_are_archived_with_an_outcome_each(api: Api) -> None:
    done, busy = a_stored_job("abandoned").edit_id, a_stored_job("allocated").edit_id

    result = plan(api, "/edits/archive", {"edit_ids": [done, busy]}).json["items"]
    old = plan(api, "/edits/archive", {"dataset": "counties"}).json["items"]
    archived = api.get(
        "/edits", query={"dataset": "counties", "list": "archived"}, role="viewer"
    ).json

    assert [each["archived"] for each in result] == [True, False]
    assert old == []
    assert [each["id"] for each in archived["items"]] == [done]


def test_an_admin_reads_the_process_log(api: Api) -> None:
    child = a_stored_child(FailureType.VALIDATION)
    plan(api, f"/edits/{child.parent_id}/abandon", {"reason": "not needed"})

    log = api.get(f"/edits/{child.parent_id}/log", role="admin").json

    entries = [(each["job_id"][0], each["entry"]["event"]) for each in log["entries"]]
    assert ("x", "abandon") in entries
    assert ("e", "abandon") in entries
    assert edits.get(child.parent_id).state == "abandoned"


def test_an_admin_makes_teams_and_sets_what_holds_for_a_type(api: Api) -> None:
    body = {"title": "South", "workers": ["depositor"], "reviewers": ["depositor", "operator"]}

    made = api.request("PUT", "/teams/south", body=body).json
    listed = api.get("/teams", role="planner").json
    settings = api.request(
        "PUT", "/edit-settings/counties/border", body={"embargo": True, "reviewers": "south"}
    )
    found = api.get("/edit-settings/counties", role="planner").json
    unknown = api.request("PUT", "/teams/west", body={"workers": ["nobody-at-all"]})
    open_one = a_stored_job("allocated", edit_type="border")
    refused = api.request("DELETE", "/edit-settings/counties/border")
    plan(api, f"/edits/{open_one.edit_id}/abandon", {"reason": "not needed"})
    removed = api.request("DELETE", "/edit-settings/counties/border").json
    again = api.request("DELETE", "/edit-settings/counties/border")
    left = api.request("DELETE", "/teams/south").json

    assert [(each["person"]["name"], each["is_worker"]) for each in made["members"]] == [
        *(("depositor", True), ("operator", False)),
    ]
    assert listed["items"] == ["north", "south"]
    assert settings.json["embargo"] is True
    assert found["types"]["border"]["reviewers"] == "south"
    assert unknown.status == 400
    assert (refused.status, f"such as {open_one.edit_id}" in refused.json["detail"]) == (409, True)
    assert (removed["types"], again.status) == ({}, 404)
    assert left["items"] == ["north"]


def test_only_an_admin_sees_the_secrets_of_the_url_that_edits(api: Api) -> None:
    url = "https://edits.example.org/run?token=abc"

    api.request("PUT", "/edit-settings/counties/border", body={"batch": url})
    seen = {
        role: api.get("/edit-settings/counties", role=role).json["types"]["border"]["batch"]
        for role in ("admin", "worker")
    }

    assert seen == {"admin": url, "worker": "https://edits.example.org/run?token=***"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:secret@edits.example.org/", "user name or password"),
        ("http://[::1", "batch: the URL"),
        ("http://edits.example.org/run", "batch: the URL has to begin with https://"),
        ("https://a b", "contains a space"),
    ],
)
def test_a_url_that_cannot_be_called_does_not_edit(url: str, message: str, api: Api) -> None:
    refused = api.request("PUT", "/edit-settings/counties/border", body={"batch": url})

    assert refused.status == 400
    assert message in refused.json["detail"]


def test_edit_jobs_of_every_state_can_be_listed_and_the_deleted_are_in_no_list(api: Api) -> None:
    a_stored_job("deleted")
    proposed = a_stored_job()

    listed = {
        state: [each["id"] for each in api.get("/edits", query={"state": state}).json["items"]]
        for state in EditState
    }

    assert listed["proposed"] == [proposed.edit_id]
    assert listed["deleted"] == []
