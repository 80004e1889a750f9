"""Who may do what, in a table; anything else is denied."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.access import ROLES, roles_for
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.machine_clients import MACHINE_CLIENT_ROLES
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import collections, holds, operations
from jobyard.store import schedules as stored_schedules
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_delivery,
    a_job,
    a_report,
    a_report_of,
)
from tests.functions.api.campaign_requests import an_ended_campaign, campaign_request
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import DAILY, a_schedule, wanted, work
from tests.open_collections import an_open_collection
from tests.people import sub_of
from tests.services.datasets.datasets import make_dataset, point
from tests.services.edits.edit_records import a_dataset, a_stored_job, a_team, member
from tests.tables import contents, put_back

WHY = {"reason": "because"}
EVERYONE = {*ROLES, ""}  # "" is somebody without a role
READERS = {"viewer", "operator", "admin"}
OPERATORS = {"operator", "admin"}

# Requests about somebody else's batch, who may send them, and the status for readers who may not.
# Roles that cannot read batches get 404.
ON_OTHERS_BATCHES: list[tuple[str, str, Any, str, set[str], int]] = [
    ("GET", "/batches/{batch}", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/jobs", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/jobs.csv", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/findings", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/cost", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/reports", None, "processing", READERS, 404),
    ("GET", "/batches/{batch}/operations/r1", None, "processing", READERS, 404),
    ("GET", "/jobs/{batch}.0.0", None, "processing", READERS, 404),
    ("GET", "/jobs/{batch}.0.0/log", None, "processing", OPERATORS, 403),
    ("POST", "/batches/{batch}/cancel", WHY, "processing", OPERATORS, 403),
    ("POST", "/batches/{batch}/release", WHY, "held", OPERATORS, 403),
    ("POST", "/batches/{batch}/delete", WHY, "held", {"admin"}, 403),
    ("POST", "/batches/{batch}/delete", WHY, "failed", {"admin"}, 403),
    ("POST", "/batches/{batch}/update_reporting", WHY, "failed", {"admin"}, 403),
    ("GET", "/batches/{batch}/reports/2/changes", None, "failed", READERS, 404),
    ("POST", "/batches/{batch}/reports/2/resend", WHY, "failed", {"admin"}, 403),
    ("POST", "/batches/{batch}/operations", WHY, "failed", OPERATORS, 403),
    ("POST", "/batches/{batch}/operations", {"preview": True}, "failed", OPERATORS, 403),
    (
        "POST",
        "/batches/{batch}/operations",
        {"event": "cancel", "state": "held", **WHY},
        "processing",
        OPERATORS,
        403,
    ),
    ("POST", "/jobs/{batch}.1.0/hold", WHY, "processing", OPERATORS, 403),
    ("POST", "/jobs/{batch}.1.0/cancel", WHY, "processing", OPERATORS, 403),
    ("POST", "/jobs/{batch}.1.0/force_fail", WHY, "processing", OPERATORS, 403),
    ("POST", "/jobs/{batch}.0.1/release", WHY, "processing", OPERATORS, 403),
    ("POST", "/jobs/{batch}.0.0/requeue", WHY, "failed", OPERATORS, 403),
    ("POST", "/jobs/{batch}.0.0/delete", WHY, "failed", OPERATORS, 403),
]


def prepared_batch(state: str, submitter: str = "somebody else") -> str:
    """A batch in `state`. Held: no jobs. Failed: a failed job and two reports. Processing: also a
    held job and a requeue operation.
    """
    whose = {"submitter": submitter, "submitter_sub": sub_of(submitter)}
    if state == "held":  # held before its manifest was read, so it has no jobs
        return a_batch(state, **whose).batch_id
    batch = a_batch(state, **whose, entries=3, last_report=1)
    a_job(batch, 0, "failed")
    for seq in (1, 2):
        a_report(batch, seq, "fww")
    if state == "processing":
        a_job(batch, 1, "held")
        wanted = Filter(JobState.FAILED)
        operations.put_new(
            Operation(
                batch.batch_id, "r1", "requeue", wanted, "an-operator", "again", HOUR_AGO, 1, (0,)
            ),
            batch.state,
        )
    return batch.batch_id


@pytest.mark.parametrize(
    ("method", "path", "body", "state", "allowed", "otherwise"), ON_OTHERS_BATCHES
)
def test_a_role_may_do_with_others_batches_what_the_table_says(
    api: Api,
    method: str,
    path: str,
    body: Any,
    state: str,
    allowed: set[str],
    otherwise: int,
) -> None:
    target = path.format(batch=prepared_batch(state))
    prepared = contents()

    def status_for(role: str) -> int:
        put_back(prepared)
        return api.request(method, target, role=role, body=body).status

    refused = {role: status_for(role) for role in EVERYONE - allowed}
    taken = {role: status_for(role) for role in allowed}

    assert refused == {role: otherwise if role in READERS else 404 for role in EVERYONE - allowed}
    assert all(status in {200, 202} for status in taken.values())


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/me", None, EVERYONE),
        ("GET", "/lifecycles/batch", None, EVERYONE),
        ("GET", "/job-types", None, EVERYONE),
        ("GET", "/batches", None, {*READERS, "depositor"}),
        ("GET", "/collections", None, EVERYONE),
        ("POST", "/collections", {"name": "new"}, {"admin"}),
        ("GET", "/activity", None, READERS),
        ("GET", "/alarms", None, OPERATORS),
        ("GET", "/rates", None, READERS),
        ("GET", "/cost", None, READERS),
        ("GET", "/holds", None, {*READERS, "depositor"}),
        ("GET", "/holds/everything", None, {*READERS, "depositor"}),
        ("PUT", "/holds/type:deposit", {**WHY, "replace": True}, OPERATORS),
        ("DELETE", "/holds/everything", None, OPERATORS),
        (
            "POST",
            "/batches",
            {"collection": "maps", "filename": "may.checkm"},
            {*OPERATORS, "depositor"},
        ),
    ],
)
def test_a_role_may_do_what_the_table_says(
    api: Api, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    refused = set()
    for role in sorted(EVERYONE):
        hold = Hold("everything", "an-operator", "moving", HOUR_AGO)
        holds.put(hold, seen=holds.find("everything"))
        answer = api.request(method, path, role=role, body=body)
        if answer.status >= 400:
            assert (answer.status, answer.kind) == (403, "forbidden")
            refused.add(role)

    assert refused == EVERYONE - allowed


@pytest.mark.parametrize("role", [*MACHINE_CLIENT_ROLES, "worker", "none"])
def test_a_machine_client_may_do_what_its_scopes_allow(api: Api, role: str) -> None:
    """As a person of that role, but for what belongs to people."""
    shown = api.get("/me", role=f"client:{role}").json
    person = role if role in MACHINE_CLIENT_ROLES else ""
    requests = [
        ("GET", "/batches", None),
        ("GET", "/alarms", None),
        ("GET", "/schedules", None),
        ("POST", "/collections", {"name": f"of-{role}"}),
        ("PUT", "/holds/type:deposit", {**WHY, "replace": True}),
        ("POST", "/batches", {"collection": "maps", "filename": "may.checkm", "notify": []}),
    ]

    for method, path, body in requests:
        client = api.request(method, path, role=f"client:{role}", body=body)
        assert (client.status >= 400) is (
            api.request(method, path, role=person, body=body).status in {403, 404}
        ), (method, path)
    assert shown == {"name": "client:nightly", "roles": [person] if person else []}


def test_what_a_machine_client_does_has_its_name(api: Api) -> None:
    api.request("PUT", "/holds/everything", role="client:operator", body=WHY)

    assert api.get("/holds/everything").json["owner"] == "client:nightly"
    assert api.get("/activity").json["items"][0]["actor"] == "client:nightly"


def test_a_machine_client_deposits_where_it_is_allowed(api: Api) -> None:
    collections.put(replace(an_open_collection("closed"), groups=frozenset()))
    wanted = {"collection": "closed", "filename": "may.checkm", "notify": []}
    refused = api.post("/batches", wanted, role="client:depositor")
    allowed = api.post("/collections/closed/allow", {**WHY, "people": ["client:nightly"]})
    unknown = api.post("/collections/closed/allow", {**WHY, "people": ["client:other"]})
    accepted = api.post("/batches", wanted, role="client:depositor")
    batch = accepted.json["batch_id"]

    assert (refused.status, allowed.status, unknown.status, accepted.status) == (404, 200, 400, 201)
    assert api.get(f"/batches/{batch}", role="client:depositor").status == 200
    assert api.get(f"/batches/{batch}", role="depositor").status == 404


HOOK = {"url": "https://hooks.example.org/", "events": ["batch.ended.v1"], **WHY}
NEW_HOOK = HOOK | {"name": "theirs"}
# Requests about schedules, their jobs, calendars and webhooks: only for admin.
OF_SCHEDULES: list[tuple[str, str, Any]] = [
    ("POST", "/schedules/preview", {"rule": DAILY}),
    ("POST", "/schedules", wanted()),
    ("GET", "/schedules", None),
    ("GET", "/schedules/{schedule}", None),
    ("PATCH", "/schedules/{schedule}", {**WHY, "title": "another"}),
    ("POST", "/schedules/{schedule}/preview", {"calendar": ""}),
    ("GET", "/schedules/{schedule}/year", None),
    ("GET", "/schedules/{schedule}/lateness", None),
    ("POST", "/schedules/{schedule}/suspend", WHY),
    ("POST", "/schedules/{suspended}/resume", WHY),
    ("POST", "/schedules/{schedule}/run_now", WHY),
    ("DELETE", "/schedules/{schedule}?reason=because", None),
    ("GET", "/schedules/{schedule}/occurrences", None),
    ("GET", "/schedules/{schedule}/cost", None),
    ("GET", "/schedules/{schedule}/reports", None),
    ("POST", "/schedules/{schedule}/reports/1/resend", WHY),
    ("GET", "/jobs/{job}", None),
    ("GET", "/jobs/{swept}/failed-records", None),
    ("POST", "/jobs/{job}/cancel", WHY),
    ("GET", "/webhooks", None),
    ("GET", "/webhooks/ours", None),
    ("POST", "/webhooks", NEW_HOOK),
    ("PATCH", "/webhooks/ours", HOOK),
    ("POST", "/webhooks/ours/rotate_secret", WHY),
    ("POST", "/webhooks/ours/disable", WHY),
    ("POST", "/webhooks/ours/enable", WHY),
    ("GET", "/webhooks/ours/deliveries", None),
    ("POST", "/webhooks/ours/deliveries/{delivery}/redeliver", WHY),
    ("DELETE", "/webhooks/ours?reason=because", None),
    ("GET", "/calendars", None),
    ("GET", "/calendars/holidays", None),
    ("PUT", "/calendars/holidays", WHY),
    ("DELETE", "/calendars/holidays?reason=because", None),
]


# Requests about campaigns, and who may send them.
OF_CAMPAIGNS: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/campaigns", None, READERS),
    ("GET", "/campaigns/{campaign}", None, READERS),
    ("GET", "/campaigns/{campaign}/tasks", None, READERS),
    ("GET", "/campaigns/{campaign}/cost", None, READERS),
    ("GET", "/campaigns/{campaign}/reports", None, READERS),
    ("POST", "/campaigns/{reported}/reports/1/resend", WHY, {"admin"}),
    ("GET", "/jobs/{campaign}.0.0", None, READERS),
    ("POST", "/campaigns", campaign_request(), {"admin"}),
    ("POST", "/campaigns/preview", campaign_request(), {"admin"}),
    ("POST", "/campaigns/targets", {"filename": "gateways.csv"}, {"admin"}),
    ("POST", "/campaigns/{campaign}/pause", WHY, OPERATORS),
    ("POST", "/campaigns/{campaign}/resume", WHY, OPERATORS),
    ("POST", "/campaigns/{campaign}/cancel", WHY, OPERATORS),
    ("POST", "/campaigns/{campaign}/force", WHY, OPERATORS),
    ("POST", "/campaigns/{campaign}/change", {**WHY, "at_once": 7}, OPERATORS),
    ("POST", "/campaigns/{ended}/retry", {"to": "2027-01-31"}, OPERATORS),
    ("POST", "/campaigns/{ended}/retry/preview", {"to": "2027-01-31"}, OPERATORS),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed"), OF_CAMPAIGNS)
def test_a_role_may_do_with_campaigns_what_the_table_says(
    api: Api, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    campaign = api.post("/campaigns", campaign_request()).json["campaign_id"]
    if "resume" in path:
        api.post(f"/campaigns/{campaign}/pause", WHY)
    if "ended" in path:
        an_ended_campaign(campaign)
    if "reported" in path:
        a_report_of(campaign)
    ids = {"campaign": campaign, "ended": campaign, "reported": campaign}
    prepared = contents()
    refused = set()
    for role in sorted(EVERYONE):
        put_back(prepared)
        answer = api.request(method, path.format(**ids), role=role, body=body)
        if answer.status >= 400:
            assert (answer.status, answer.kind) == (403, "forbidden")
            refused.add(role)

    assert refused == EVERYONE - allowed


def of_schedules(api: Api) -> dict[str, str]:
    """Values for the table's paths: a schedule, a suspended one, and a job of a third."""
    suspended, running = a_schedule().schedule_id, a_schedule().schedule_id
    api.post(f"/schedules/{suspended}/suspend", WHY)
    api.request("PUT", "/calendars/holidays", body=WHY)
    api.post("/webhooks", HOOK | {"name": "ours"})
    job = api.post(f"/schedules/{running}/run_now", WHY).json["job_id"]
    schedule = a_schedule().schedule_id
    a_report_of(schedule)
    ran = a_schedule()
    api.post(f"/schedules/{ran.schedule_id}/run_now", WHY)
    active = stored_schedules.get(ran.schedule_id).active[0]
    swept = work(ran.job_address(active.scheduled_for), "failed", NOW, timedelta(seconds=1))
    return {
        "schedule": schedule,
        "suspended": suspended,
        "job": job,
        "swept": swept.address.job_id,
        "delivery": a_delivery(schedule, "ours"),
    }


@pytest.mark.parametrize(("method", "path", "body"), OF_SCHEDULES)
def test_schedules_are_for_admin_and_nobody_else(
    api: Api, method: str, path: str, body: Any
) -> None:
    target, _, query = path.format(**of_schedules(api)).partition("?")
    given = dict([query.split("=")]) if query else None

    for role in EVERYONE - {"admin"}:
        answer = api.request(method, target, role=role, body=body, query=given)
        assert (answer.status, answer.kind) == (403, "forbidden")
    assert api.request(method, target, body=body, query=given).status in {200, 201, 202}


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"rule": 9}', '{"nonsense": true}', "{" + " " * 300_000 + "}"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/schedules"), ("POST", "/schedules/preview"), ("PUT", "/calendars/holidays")],
)
def test_without_the_admin_role_the_errors_of_a_schedule_are_not_shown(
    api: Api, method: str, path: str, body: str
) -> None:
    answers = {
        role: api.request(method, path, role=role, body=body) for role in EVERYONE | {"nobody"}
    }

    assert answers.pop("admin").status in {400, 413, 422}
    assert answers.pop("nobody").status == 401
    assert {answer.status for answer in answers.values()} == {403}


# Requests about a dataset, and who may send them.
DATASET_READERS = {"viewer", "planner", "worker", "reviewer", "admin"}
OF_DATASETS: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/datasets", None, DATASET_READERS),
    ("GET", "/datasets/roads", None, DATASET_READERS),
    ("GET", "/datasets/roads/commits", None, DATASET_READERS),
    ("GET", "/datasets/roads/changes", None, DATASET_READERS),
    ("GET", "/datasets/roads/features?box=0,0,1,1", None, DATASET_READERS),
    ("GET", "/datasets/roads/feature?id=1", None, DATASET_READERS),
    ("GET", "/datasets/roads/history?id=1", None, DATASET_READERS),
    ("POST", "/datasets/roads/exports", {}, DATASET_READERS),
    ("GET", "/datasets/roads/exports/none", None, DATASET_READERS),
    ("POST", "/datasets/uploads", {"filename": "roads.geojson"}, {"planner", "admin"}),
    ("POST", "/datasets", {"name": "other", "file": "none"}, {"planner", "admin"}),
    ("GET", "/datasets/roads/loads/none", None, {"planner", "admin"}),
    ("PUT", "/datasets/roads", {**WHY, "title": "Roads"}, {"admin"}),
    ("DELETE", "/datasets/roads?reason=because", None, {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed"), OF_DATASETS)
def test_a_role_may_do_with_datasets_what_the_table_says(
    api: Api, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    from api.handler import CONTEXT

    context = DatasetContext(CONTEXT.settings, CONTEXT.s3, api.tick)
    make_dataset("roads", [point("1", 0)], context)
    target, _, query = path.partition("?")
    given = dict([query.split("=")]) if query else None

    answers = {
        role: api.request(method, target, role=role, body=body, query=given) for role in EVERYONE
    }

    assert {role for role, each in answers.items() if each.status == 403} == EVERYONE - allowed
    assert {answers[role].status for role in allowed} <= {200, 202, 400, 404}


# Requests about a collection that no role may deposit into: 404 for those who do not see it.
OF_A_COLLECTION: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/collections/closed", None, READERS),
    ("GET", "/objects/ark-13030-closed", None, READERS),
    ("GET", "/objects/ark-13030-closed/versions/1", None, READERS),
    ("PATCH", "/collections/closed", {**WHY, "accepts_drops": True}, {"admin"}),
    ("POST", "/collections/closed/allow", {**WHY, "groups": ["depositor"]}, {"admin"}),
    ("POST", "/collections/closed/deny", {**WHY, "groups": ["students"]}, {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed"), OF_A_COLLECTION)
def test_a_role_may_do_with_a_collection_what_the_table_says(
    api: Api, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    closed = an_open_collection("closed")
    collections.put(replace(closed, groups=frozenset({"students"})))
    a_version("ark:/13030/closed", collection="closed")

    refused = {
        role: api.request(method, path, role=role, body=body).status for role in EVERYONE - allowed
    }
    taken = {role: api.request(method, path, role=role, body=body).status for role in allowed}

    assert refused == {role: 403 if role in READERS else 404 for role in EVERYONE - allowed}
    assert set(taken.values()) == {200}


PLANNERS = {"planner", "admin"}
PROPOSED = {"dataset": "counties", "extent": {"features": ["1"]}}
UPLOADED = {"key": "k", "attempt": 1, "package_id": "p", "digest": "d" * 64}
# Requests about an edit job that is nobody's team's, who has the role for them, and the status for
# everyone else. Who has the role is not refused for it, but perhaps for the state or the team.
OF_EDITS: list[tuple[str, str, Any, set[str], int]] = [
    ("POST", "/edits", PROPOSED, PLANNERS, 403),
    ("GET", "/edits", None, {"viewer", "planner", "admin"}, 403),
    ("POST", "/edits/archive", {"edit_ids": ["e"]}, PLANNERS, 403),
    ("GET", "/edits/{edit}", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/changes", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/cost", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/forecast", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/findings", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/upload", None, {"viewer", "planner", "admin"}, 404),
    ("GET", "/edits/{edit}/rescued", None, {"viewer", "planner", "admin"}, 404),
    ("PATCH", "/edits/{edit}", {**WHY, "name": "x"}, PLANNERS, 403),
    ("GET", "/edits/{edit}/log", None, {"admin"}, 403),
    ("POST", "/edits/{edit}/allocate", {"team": "north"}, PLANNERS, 403),
    ("POST", "/edits/{edit}/copy", {}, PLANNERS, 403),
    ("POST", "/edits/{edit}/revoke", WHY, PLANNERS, 403),
    ("POST", "/edits/{edit}/download", {}, {"worker"}, 403),
    ("POST", "/edits/{edit}/upload-form", {"attempt": 1, "filename": "x"}, {"worker"}, 403),
    ("POST", "/edits/{edit}/upload", UPLOADED, {"worker"}, 403),
    ("POST", "/edits/{edit}/approve", {}, {"reviewer"}, 403),
    ("POST", "/edits/{edit}/require_corrections", {"comment": "x"}, {"reviewer"}, 403),
    ("POST", "/edits/{edit}/discard", {"comment": "x"}, {"reviewer"}, 403),
    (
        "POST",
        "/edits/{edit}/attachments",
        {"custodian": "Ines", "email": "ines@example.org", "description": "x"},
        PLANNERS,
        403,
    ),
    ("POST", "/edits/{edit}/attachments/1/resend", {}, PLANNERS, 403),
    ("POST", "/edits/{edit}/attachments/1/upload-form", {"filename": "x"}, PLANNERS, 403),
    ("POST", "/edits/{edit}/attachments/1/answer", {}, PLANNERS, 403),
    ("GET", "/edits/{edit}/attachments/1/download", None, PLANNERS, 403),
    ("GET", "/worklist", None, {"planner", "worker", "reviewer", "admin"}, 403),
    ("GET", "/worklist/allocated", None, {"planner", "worker", "reviewer", "admin"}, 403),
    ("GET", "/teams", None, {"viewer", "planner", "worker", "reviewer", "admin"}, 403),
    ("GET", "/teams/north", None, {"viewer", "planner", "worker", "reviewer", "admin"}, 403),
    ("PUT", "/teams/north", {}, {"admin"}, 403),
    ("DELETE", "/teams/west", None, {"admin"}, 403),
    (
        "GET",
        "/edit-settings/counties",
        None,
        {"viewer", "planner", "worker", "reviewer", "admin"},
        403,
    ),
    ("PUT", "/edit-settings/counties/border", {}, {"admin"}, 403),
    ("DELETE", "/edit-settings/counties/none", None, {"admin"}, 403),
]


@pytest.mark.parametrize(("method", "path", "body", "allowed", "otherwise"), OF_EDITS)
def test_a_role_may_do_with_edit_jobs_what_the_table_says(
    api: Api, method: str, path: str, body: Any, allowed: set[str], otherwise: int
) -> None:
    a_team("north", member("anna"))
    a_dataset(border={})
    target = path.format(edit=a_stored_job().edit_id)

    answers = {role: api.request(method, target, role=role, body=body) for role in EVERYONE}

    refused = {role: answers[role].status for role in EVERYONE - allowed}
    assert refused == dict.fromkeys(EVERYONE - allowed, otherwise)
    taken = [answers[role] for role in allowed if answers[role].status == 403]
    assert not any(each.json["detail"].startswith("only a") for each in taken)


def test_every_route_is_in_a_table_here() -> None:
    from tests.functions.api.api_client import described, operation_of

    nouns = ("batch", "campaign", "edit", "ended", "reported", "schedule", "suspended", "job")
    nouns += ("swept", "delivery")
    ids = {name: "b" + "a" * 20 for name in nouns}
    requests = [(method, path) for method, path, *_ in ON_OTHERS_BATCHES]
    requests += [(method, path.partition("?")[0]) for method, path, _ in OF_SCHEDULES]
    requests += [
        (mark[0], mark[1]) for mark in test_a_role_may_do_what_the_table_says.pytestmark[0].args[1]
    ]
    requests += [
        (method, path) for method, path, *_ in (*OF_A_COLLECTION, *OF_CAMPAIGNS, *OF_EDITS)
    ]
    requests += [(method, path.partition("?")[0]) for method, path, *_ in OF_DATASETS]
    found = [operation_of(method, "/api" + path.format(**ids)) for method, path in requests]

    named = {each["operationId"] for each in found if each}
    needing = {
        operation["operationId"]
        for operations_of_path in described()["paths"].values()
        for operation in operations_of_path.values()
        if operation.get("security") != []
    }
    # Their parameters are in the query: tried by the tests of these routes.
    assert named | {"find", "find_object", "get_download_link", "get_rescued_upload"} == needing


def test_a_depositor_sees_and_lists_their_own_batches_and_no_others(api: Api) -> None:
    mine = prepared_batch("processing", submitter="depositor")
    prepared_batch("processing")

    listed = api.get("/batches", role="depositor").json["items"]
    assert [each["batch_id"] for each in listed] == [mine]
    for path in ("", "/jobs", "/findings", "/cost", "/reports", "/operations/r1"):
        assert api.get(f"/batches/{mine}{path}", role="depositor").status == 200
    assert api.get(f"/jobs/{mine}.0.0", role="depositor").status == 200


def test_a_depositor_may_cancel_their_own_batches_and_change_nothing_else(api: Api) -> None:
    mine = prepared_batch("processing", submitter="depositor")

    for path in (f"/jobs/{mine}.1.0/hold", f"/batches/{mine}/operations"):
        answer = api.post(path, WHY, role="depositor")
        assert (answer.status, answer.kind) == (403, "forbidden")
    assert api.post(f"/batches/{mine}/cancel", WHY, role="depositor").status == 202


def test_a_planner_who_once_deposited_cannot_list_batches(api: Api) -> None:
    a_batch(submitter="planner", submitter_sub=sub_of("planner"))

    assert api.get("/batches", role="planner").status == 403


@pytest.mark.parametrize(
    "path", ["/me", "/batches", "/holds", "/lifecycles/job", "/schedules", "/job-types"]
)
def test_without_a_token_nothing_is_allowed(api: Api, path: str) -> None:
    answer = api.get(path, role="nobody")

    assert (answer.status, answer.kind) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_description_needs_no_token(api: Api) -> None:
    assert api.get("/openapi.json", role="nobody").status == 200
    assert api.get("/docs", role="nobody").status == 200


def test_all_events_of_a_job_need_the_same_roles() -> None:
    assert {roles_for("job", event) for event in JOB.people_events()} == {("operator", "admin")}


def test_the_document_names_the_roles_that_an_operation_is_for() -> None:
    from tests.functions.api.api_client import described

    named = {
        operation["operationId"]: operation.get("description", "").rpartition("For ")[2]
        for operations_of_path in described()["paths"].values()
        for operation in operations_of_path.values()
    }

    assert named["place_hold"] == named["change_jobs"] == "operator and admin."
    assert named["submit_batch"] == "depositor, operator and admin."
    assert named["edit_collection"] == "its owner and admin."
    assert {named[each] for each in named if "schedule" in each or "calendar" in each} == {"admin."}
