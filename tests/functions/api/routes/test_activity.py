"""Activity through the API: each change leaves one act, which those who may see it see."""

import re
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.access import ACCESS
from jobyard.domain.activity import ACTS_KEPT, Act, Subject
from jobyard.domain.datasets.load import UPLOADS_PREFIX
from jobyard.domain.edits.child import FailureType
from jobyard.domain.upload_keys import upload_key
from jobyard.jobtypes import TYPES
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import activity
from tests.functions.api.api_client import NOW, Api, described, operation_of
from tests.functions.api.batch_records import a_batch, a_delivery, a_job, a_report, a_report_of
from tests.functions.api.campaign_requests import an_ended_campaign, campaign_request
from tests.functions.api.schedule_records import a_schedule, wanted
from tests.functions.api.test_idempotency import forget_answers
from tests.people import sub_of
from tests.services.datasets.datasets import make_dataset, point
from tests.services.edits.edit_records import (
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
    requested,
)
from tests.tables import contents, put_back

WHY = {"reason": "the server is back"}
DATASET_FILE = upload_key(UPLOADS_PREFIX, sub_of("admin"), "key", "roads.geojson")
CALENDAR = {"exclude": ["2026-12-25"], "reason": "holidays"}
# The operations that change nothing, and one that a machine client sends by the token of a call.
_QUESTIONS = {
    "answer_call",
    "preview_campaign",
    "preview_campaign_retry",
    "upload_dataset",
    "upload_targets",
    "preview_edit",
    "preview_rule",
    "start_attachment",
    "start_upload",
}
# Every other change: its operation, its path and body, and the act that it leaves.
CHANGES: list[tuple[str, str, str, Any, tuple[str, str]]] = [
    (
        "submit_batch",
        "POST",
        "/batches",
        {"collection": "maps", "filename": "may.csv"},
        ("batch", "submit"),
    ),
    ("send_batch_event", "POST", "/batches/{held}/release", WHY, ("batch", "release")),
    (
        "resend_report",
        "POST",
        "/batches/{failed}/reports/1/resend",
        WHY,
        ("batch", "resend_report"),
    ),
    ("change_jobs", "POST", "/batches/{failed}/operations", WHY, ("job", "requeue")),
    ("send_job_event", "POST", "/jobs/{job}/requeue", WHY, ("job", "requeue")),
    ("create_schedule", "POST", "/schedules", wanted(), ("schedule", "create")),
    ("edit_schedule", "PATCH", "/schedules/{id}", {"title": "b", **WHY}, ("schedule", "edit")),
    ("suspend_schedule", "POST", "/schedules/{id}/suspend", WHY, ("schedule", "suspend")),
    ("resume_schedule", "POST", "/schedules/{suspended}/resume", WHY, ("schedule", "resume")),
    ("run_schedule_now", "POST", "/schedules/{id}/run_now", WHY, ("schedule", "run_now")),
    ("delete_schedule", "DELETE", "/schedules/{id}", None, ("schedule", "delete")),
    ("start_campaign", "POST", "/campaigns", campaign_request(), ("campaign", "start")),
    ("pause_campaign", "POST", "/campaigns/{campaign}/pause", WHY, ("hold", "place")),
    ("send_campaign_event", "POST", "/campaigns/{paused}/resume", WHY, ("hold", "lift")),
    ("send_campaign_event", "POST", "/campaigns/{campaign}/cancel", WHY, ("campaign", "cancel")),
    ("send_campaign_event", "POST", "/campaigns/{campaign}/force", WHY, ("campaign", "force")),
    (
        "change_campaign",
        "POST",
        "/campaigns/{campaign}/change",
        {"at_once": 7, **WHY},
        ("campaign", "change"),
    ),
    ("retry_campaign", "POST", "/campaigns/{ended}/retry", {}, ("campaign", "start")),
    (
        "resend_campaign_report",
        "POST",
        "/campaigns/{ended}/reports/1/resend",
        WHY,
        ("campaign", "resend_report"),
    ),
    ("put_calendar", "PUT", "/calendars/closed", CALENDAR, ("calendar", "put")),
    (
        "create_webhook",
        "POST",
        "/webhooks",
        {
            "name": "ours",
            "url": "https://hooks.example.org/",
            "events": ["batch.ended.v1"],
            **WHY,
        },
        ("webhook", "create"),
    ),
    (
        "update_webhook",
        "PATCH",
        "/webhooks/theirs",
        {"url": "https://hooks.example.org/2", **WHY},
        ("webhook", "update"),
    ),
    (
        "rotate_webhook_secret",
        "POST",
        "/webhooks/theirs/rotate_secret",
        WHY,
        ("webhook", "rotate_secret"),
    ),
    ("disable_webhook", "POST", "/webhooks/theirs/disable", WHY, ("webhook", "disable")),
    ("enable_webhook", "POST", "/webhooks/theirs/enable", WHY, ("webhook", "enable")),
    (
        "redeliver_webhook_delivery",
        "POST",
        "/webhooks/theirs/deliveries/{delivery}/redeliver",
        WHY,
        ("webhook", "redeliver"),
    ),
    (
        "resend_schedule_report",
        "POST",
        "/schedules/{suspended}/reports/1/resend",
        WHY,
        ("schedule", "resend_report"),
    ),
    ("delete_webhook", "DELETE", "/webhooks/theirs", None, ("webhook", "delete")),
    ("delete_calendar", "DELETE", "/calendars/old", None, ("calendar", "delete")),
    ("create_collection", "POST", "/collections", {"name": "new"}, ("collection", "create")),
    (
        "edit_collection",
        "PATCH",
        "/collections/mine",
        {"accepts_drops": True, **WHY},
        ("collection", "edit"),
    ),
    (
        "allow_depositors",
        "POST",
        "/collections/mine/allow",
        {"groups": ["students"], **WHY},
        ("collection", "allow"),
    ),
    (
        "deny_depositors",
        "POST",
        "/collections/mine/deny",
        {"groups": ["staff"], **WHY},
        ("collection", "deny"),
    ),
    (
        "load_dataset",
        "POST",
        "/datasets",
        {"name": "loaded", "file": DATASET_FILE},
        ("dataset", "load"),
    ),
    ("edit_dataset", "PUT", "/datasets/roads", {"title": "b", **WHY}, ("dataset", "edit")),
    ("export_dataset", "POST", "/datasets/roads/exports", {}, ("dataset", "export")),
    ("delete_dataset", "DELETE", "/datasets/roads", None, ("dataset", "delete")),
    ("place_hold", "PUT", "/holds/type:sweep", WHY, ("hold", "place")),
    ("lift_hold", "DELETE", "/holds/collection:maps", None, ("hold", "lift")),
]

PROPOSAL = {"dataset": "counties", "extent": {"features": ["1"]}}
CUSTODIAN = {"custodian": "Ines", "email": "ines@example.org", "description": "x"}
SAID = {"comment": "so it is"}
# The same for edit jobs, and who does it: a role and a name.
EDIT_CHANGES: list[tuple[str, str, str, Any, tuple[str, str], str, str]] = [
    ("propose_edit", "POST", "/edits", PROPOSAL, ("edit", "propose"), "planner", "paula"),
    ("copy_edit", "POST", "/edits/{blocked}/copy", WHY, ("edit", "propose"), "planner", "paula"),
    (
        "edit_edit",
        "PATCH",
        "/edits/{proposed}",
        {"name": "x", **WHY},
        ("edit", "edit"),
        "planner",
        "paula",
    ),
    (
        "allocate_edit",
        "POST",
        "/edits/{proposed}/allocate",
        {"team": "north", **WHY},
        ("edit", "allocate"),
        "planner",
        "paula",
    ),
    (
        "archive_edits",
        "POST",
        "/edits/archive",
        {"dataset": "old"},
        ("edit", "archive"),
        "planner",
        "paula",
    ),
    (
        "send_edit_event",
        "POST",
        "/edits/{allocated}/activate",
        {},
        ("edit", "activate"),
        "worker",
        "anna",
    ),
    (
        "download_edit",
        "POST",
        "/edits/{prepared}/download",
        {},
        ("edit", "download"),
        "worker",
        "anna",
    ),
    *(
        (
            operation,
            "POST",
            f"/edits/{{review}}/{event}",
            SAID,
            ("review", event),
            "reviewer",
            "zoe",
        )
        for operation, event in (
            ("approve_review", "approve"),
            ("require_corrections", "require_corrections"),
            ("discard_review", "discard"),
        )
    ),
    (
        "request_attachment",
        "POST",
        "/edits/{proposed}/attachments",
        CUSTODIAN,
        ("edit", "request"),
        "planner",
        "paula",
    ),
    (
        "resend_attachment_request",
        "POST",
        "/edits/{blocked}/attachments/1/resend",
        WHY,
        ("edit", "resend"),
        "planner",
        "paula",
    ),
    (
        "answer_attachment",
        "POST",
        "/edits/{blocked}/attachments/1/answer",
        WHY,
        ("edit", "answer"),
        "planner",
        "paula",
    ),
    ("put_team", "PUT", "/teams/new", {"workers": []}, ("team", "put"), "admin", "admin"),
    ("delete_team", "DELETE", "/teams/idle", None, ("team", "delete"), "admin", "admin"),
    (
        "put_edit_settings",
        "PUT",
        "/edit-settings/counties/border",
        {"quarantine": True},
        ("edit settings", "put"),
        "admin",
        "admin",
    ),
    (
        "delete_edit_settings",
        "DELETE",
        "/edit-settings/counties/idle",
        None,
        ("edit settings", "delete"),
        "admin",
        "admin",
    ),
]
# Tried by the tests of edit jobs: what leaves the act needs a package.
_UPLOADS = {"upload_edit"}


def edit_things() -> dict[str, str]:
    """Edit jobs that the changes are sent to."""
    a_team("north", member("anna"), member("zoe", worker=False, reviewer=True))
    a_team("idle")
    a_dataset(border={}, idle={})
    a_stored_job("completed", dataset="old", actual_end=NOW - timedelta(days=99))
    return {
        "proposed": a_stored_job().edit_id,
        "allocated": a_stored_job("allocated").edit_id,
        "prepared": a_stored_job("prepared", "anna").edit_id,
        "blocked": a_stored_job("blocked", attachments=requested(sends=1)).edit_id,
        "review": a_stored_child(FailureType.QUARANTINE_REVIEW, "downloaded", "zoe").child_id,
    }


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What `things` created, and the tables with it."""
    return {}


@pytest.fixture
def things(api: Api, made: dict[str, Any]) -> dict[str, str]:
    """The things that the changes are sent to. Created once, and restored for each test."""
    if not made:
        made |= {"ids": _make_things(api), "contents": contents(), "at": api.now}
    put_back(made["contents"])
    api.now = made["at"]
    return made["ids"]  # type: ignore[no-any-return]


def _make_things(api: Api) -> dict[str, str]:
    from api.handler import CONTEXT

    context = DatasetContext(CONTEXT.settings, CONTEXT.s3, api.tick)
    make_dataset("roads", [point("1", 0)], context)
    context.s3.put_object(Bucket=context.settings.intake_bucket, Key=DATASET_FILE, Body=b"{}")
    failed = a_batch("failed", entries=1, last_report=1)
    job = a_job(failed, 0, "failed").address.job_id
    other = a_batch("failed", entries=1)
    a_job(other, 0, "failed")
    a_report(other)
    suspended = a_schedule().schedule_id
    api.post(f"/schedules/{suspended}/suspend", WHY)
    a_report_of(suspended)
    api.request("PUT", "/calendars/old", body=CALENDAR)
    hook = {"name": "theirs", "url": "https://hooks.example.org/", "events": ["batch.ended.v1"]}
    api.post("/webhooks", hook | WHY)
    delivery = a_delivery(failed.batch_id, "theirs")
    api.request("PUT", "/holds/collection:maps", body=WHY)
    api.post("/collections", {"name": "mine", "groups": ["staff"]})
    campaign, paused, ended = (
        api.post("/campaigns", campaign_request()).json["campaign_id"] for _ in range(3)
    )
    an_ended_campaign(ended)
    a_report_of(ended)
    api.post(f"/campaigns/{paused}/pause", WHY)
    return {
        "held": a_batch("held").batch_id,
        "delivery": delivery,
        "campaign": campaign,
        "paused": paused,
        "ended": ended,
        "failed": other.batch_id,
        "job": job,
        "id": a_schedule().schedule_id,
        "suspended": suspended,
    }


def acts(api: Api, role: str = "admin", **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/activity", role=role, query=query).json["items"]
    return found


def test_every_operation_that_changes_something_is_in_the_table() -> None:
    changing = {
        operation["operationId"]
        for operations in described()["paths"].values()
        for method, operation in operations.items()
        if method in {"post", "put", "patch", "delete"}
    }

    changes = {operation for operation, *_ in (*CHANGES, *EDIT_CHANGES)}
    assert changing - _QUESTIONS - _UPLOADS == changes


def test_the_description_names_every_kind_of_subject() -> None:
    description = described()["components"]["schemas"]["Act"]["properties"]["kind"]["description"]
    changed = {kind for kind, event in ACCESS if event not in {"view", "view_log", "list"}}
    changed -= {f"batch of {job_type}" for job_type in TYPES}  # acts on them are acts on a batch

    assert set(re.findall("`([^`]+)`", description)) == changed


@pytest.mark.parametrize(
    ("operation", "method", "path", "body", "act"), CHANGES, ids=[each[0] for each in CHANGES]
)
def test_a_change_leaves_one_act_and_its_repeat_none(
    api: Api,
    things: dict[str, str],
    operation: str,
    method: str,
    path: str,
    body: Any,
    act: tuple[str, str],
) -> None:
    path = path.format(**things)
    described_operation = operation_of(method, f"/api{path}")
    assert described_operation is not None
    assert described_operation["operationId"] == operation
    query = {"reason": "no longer needed"} if body is None else {}
    before = len(acts(api))

    for _ in range(2):
        forget_answers()  # as if the first request had failed after its change
        headers = {"idempotency-key": "once"}
        answer = api.request(method, path, body=body, query=query, headers=headers)
        assert answer.status < 300, answer.text

    found = acts(api)
    assert len(found) == before + 1
    newest = found[0]
    assert (newest["kind"], newest["event"], newest["actor"]) == (*act, "admin")
    assert newest["reason"] == {**query, **(body or {})}.get("reason", "")
    assert newest["subject_id"] in newest["links"]["subject"].replace("%3A", ":")


@pytest.mark.parametrize(
    ("operation", "method", "path", "body", "act", "role", "name"),
    EDIT_CHANGES,
    ids=[each[0] for each in EDIT_CHANGES],
)
def test_a_change_of_an_edit_job_leaves_one_act_and_its_repeat_none(
    api: Api,
    operation: str,
    method: str,
    path: str,
    body: Any,
    act: tuple[str, str],
    role: str,
    name: str,
) -> None:
    path = path.format(**edit_things())
    described_operation = operation_of(method, f"/api{path}")
    assert described_operation is not None
    assert described_operation["operationId"] == operation

    for _ in range(2):
        forget_answers()  # as if the first request had failed after its change
        headers = {"idempotency-key": "once"}
        answer = api.request(method, path, body=body, headers=headers, role=role, name=name)
        assert answer.status < 300, answer.text

    (found,) = acts(api)
    assert (found["kind"], found["event"], found["actor"]) == (*act, name)
    assert found["subject_id"] in found["links"]["subject"]


def test_a_refused_change_leaves_no_act(api: Api) -> None:
    batch = a_batch("held")

    api.post(f"/batches/{batch.batch_id}/release", WHY, role="viewer")
    api.post(f"/batches/{batch.batch_id}/cancel", WHY)

    assert acts(api) == []


def test_only_those_who_see_schedules_see_what_was_done_to_them(api: Api) -> None:
    schedule = a_schedule()
    api.post(f"/schedules/{schedule.schedule_id}/suspend", WHY)
    api.request("PUT", "/holds/everything", body=WHY, role="operator")

    assert [each["kind"] for each in acts(api)] == ["hold", "schedule"]
    for role in ("operator", "viewer"):
        assert [each["kind"] for each in acts(api, role=role)] == ["hold"]
    for role in ("depositor", ""):
        assert api.get("/activity", role=role).status == 403


def test_acts_come_newest_first_by_the_page_across_months(api: Api) -> None:
    for day in range(0, 60, 3):
        subject = Subject("batch", f"b{day}")
        activity.put(Act(NOW - timedelta(days=day), "ann", "s", "cancel", subject, "why", "r1"))

    found, cursor = [], ""
    while cursor is not None:
        page = api.get("/activity", query={"limit": 7, "cursor": cursor}).json
        found += [each["subject_id"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert found == [f"b{day}" for day in range(0, 60, 3)]


def test_acts_older_than_they_are_kept_are_not_shown(api: Api) -> None:
    subject = Subject("batch", "b1")
    for age in (ACTS_KEPT - timedelta(hours=1), ACTS_KEPT + timedelta(hours=1)):
        activity.put(Act(NOW - age, "ann", "s", "cancel", subject, str(age.days), "r1"))

    assert [each["reason"] for each in acts(api)] == ["89"]


def test_a_page_of_acts_that_one_may_not_see_is_short_and_the_next_continues(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobyard.services.queries import activity as activity_queries

    monkeypatch.setattr(activity_queries, "_MAX_READ", 2)
    for number, kind in enumerate(("batch", "schedule", "schedule", "schedule", "hold")):
        at = NOW - timedelta(minutes=5 - number)
        activity.put(Act(at, "ann", "s", "delete", Subject(kind, "x"), "", f"r{number}"))

    pages, cursor = [], ""
    while cursor is not None:
        page = api.get("/activity", role="viewer", query={"cursor": cursor}).json
        pages.append([each["kind"] for each in page["items"]])
        cursor = page["next_cursor"]

    assert [kind for page in pages for kind in page] == ["hold", "batch"]
    assert [] in pages


def test_an_edit_says_what_changed(api: Api) -> None:
    schedule_id = a_schedule().schedule_id
    api.request("PATCH", f"/schedules/{schedule_id}", body={"title": "At night", **WHY})

    (edit,) = [
        each
        for each in api.get("/activity").json["items"]
        if (each["subject_id"], each["event"]) == (schedule_id, "edit")
    ]
    assert edit["changes"] == "title: At night"


def test_a_change_of_a_collection_says_what_changed(api: Api) -> None:
    api.post("/collections", {"name": "plans", **WHY})
    api.request("PATCH", "/collections/plans", body={"notify": ["jo@example.org"], **WHY})

    newest = api.get("/activity").json["items"][0]
    assert (newest["event"], newest["changes"]) == ("edit", "notifies jo@example.org")
