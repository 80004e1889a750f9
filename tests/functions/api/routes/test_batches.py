"""Batches through the API: submissions, lists, details, events."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from jobyard.domain.batches.batch import BATCH
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.hold import Hold
from jobyard.domain.quota import Quotas
from jobyard.services.queries import reports as report_queries
from jobyard.services.queries.tallies import MAX_UNSTORED_CHUNKS
from jobyard.services.settings import MANIFEST_BYTES, UPLOAD_TIME
from jobyard.store import collections, holds, quotas, reports
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_job,
    a_report,
    executions,
    put_findings,
)
from tests.people import sub_of

SUBMISSION = {"collection": "maps", "filename": "may.checkm"}
WHY = {"reason": "the server is back"}


def test_a_submission_is_announced_and_gets_its_upload_url(api: Api) -> None:
    answer = api.post("/batches", SUBMISSION, role="depositor")

    assert answer.status == 201
    submitted = answer.json
    assert submitted["state"] == "pending"
    upload = submitted["upload"]
    assert upload["fields"]["key"] == f"manifests/maps/{submitted['batch_id']}/may.checkm"
    assert upload["expires_at"].endswith("Z")
    assert answer.headers["location"] == submitted["links"]["self"]
    shown = api.get(f"/batches/{submitted['batch_id']}", role="depositor").json
    assert shown["waiting_reason"] == "waits for its manifest to arrive and be opened"
    assert shown["waiting_until"] == upload["expires_at"]


def test_a_submission_beyond_a_quota_is_refused_until_the_next_day(api: Api) -> None:
    limits = Quotas(1_000, 10**12, 10_000, 1_000, 1_000)
    quotas.begin_day(sub_of("depositor"), NOW)
    quotas.add_mails(sub_of("depositor"), 10_000, limits, NOW)

    answer = api.post("/batches", SUBMISSION, role="depositor")

    assert (answer.status, answer.kind) == (429, "quota-exceeded")
    assert "DailyMailsPerPerson" in answer.json["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 86_400


def test_an_upload_is_for_one_key_of_a_bounded_size_and_for_a_while(api: Api) -> None:
    """S3 holds a POST to its policy; a presigned PUT would know no limit."""
    before = datetime.now(UTC).replace(microsecond=0)
    upload = api.post("/batches", SUBMISSION, role="depositor").json["upload"]

    fields = upload["fields"]
    policy = json.loads(base64.b64decode(fields["policy"]))
    ends = datetime.fromisoformat(policy["expiration"])
    assert before + UPLOAD_TIME <= ends <= datetime.now(UTC) + UPLOAD_TIME
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert {"key": fields["key"]} in policy["conditions"]
    bounds = [each for each in policy["conditions"] if isinstance(each, list)]
    assert bounds == [["content-length-range", 1, MANIFEST_BYTES]]


def test_what_a_submission_says_is_kept(api: Api) -> None:
    body = {
        **SUBMISSION,
        "profile": "mrt-batch-manifest",
        "notify": ["maps@example.org", "archive@example.org"],
        "callback_url": "https://maps.example.org/done",
        "parameters": {"title": "Maps of May", "local": ["a", "b"]},
        "note": "second try",
    }

    submitted = api.post("/batches", body, role="operator").json

    shown = api.get(f"/batches/{submitted['batch_id']}").json
    assert shown["profile"] == "mrt-batch-manifest"
    assert shown["notify"] == body["notify"]
    assert shown["note"] == "second try"
    assert shown["submitter"] == "operator"
    assert shown["parameters"] == {
        "title": "Maps of May",
        "local": ["a", "b"],
        "callback_url": "https://maps.example.org/done",
    }


def test_a_callbacks_token_is_not_shown_to_readers_of_the_batch(api: Api) -> None:
    body = {**SUBMISSION, "callback_url": "https://maps.example.org/done?batch=7&token=abc"}

    submitted = api.post("/batches", body, role="operator").json

    shown = api.get(f"/batches/{submitted['batch_id']}").json["parameters"]
    assert shown == {"callback_url": "https://maps.example.org/done?batch=7&token=***"}


@pytest.mark.parametrize(
    ("role", "named", "recipients"),
    [
        ("depositor", None, ["depositor@example.org"]),
        ("operator", None, ["operators@example.org"]),  # whose address is not verified
        ("admin", None, ["operators@example.org"]),  # who is no longer in the pool
        ("depositor", [], []),
        ("depositor", ["maps@example.org"], ["maps@example.org"]),
        (
            "depositor",
            ['"Doe, Jane" <jane@example.org>, jo@example.org', "Jo <jo@EXAMPLE.org>"],
            ["jane@example.org", "jo@example.org"],
        ),
    ],
)
def test_a_batch_has_these_recipients(
    api: Api, role: str, named: list[str] | None, recipients: list[str]
) -> None:
    body = SUBMISSION if named is None else {**SUBMISSION, "notify": named}

    submitted = api.post("/batches", body, role=role).json

    assert api.get(f"/batches/{submitted['batch_id']}").json["notify"] == recipients


def test_strangers_get_no_mail_of_a_batch(api: Api) -> None:
    body = {**SUBMISSION, "notify": ["jo@example.org", "president@example.com"]}

    answer = api.post("/batches", body, role="depositor")

    assert (answer.status, answer.json["type"].rpartition("#")[2]) == (400, "bad-request")
    only = "this deployment sends mail to example.org only"
    assert answer.json["detail"] == f"president@example.com: {only}"


def test_recipients_of_a_collection_that_may_not_be_mailed_any_more_get_no_mail(api: Api) -> None:
    found = collections.find("maps")
    assert found is not None
    changed = replace(
        found, version=found.version + 1, notify=("jo@example.com", "ann@example.org")
    )
    collections.put(changed)
    body = {"collection": "maps", "filename": "may.checkm"}

    submitted = api.post("/batches", body, role="depositor").json

    shown = api.get(f"/batches/{submitted['batch_id']}").json
    assert shown["notify"] == ["ann@example.org"]


def test_an_unknown_parameter_of_a_job_type_is_refused(api: Api) -> None:
    body = {**SUBMISSION, "parameters": {"title": "Maps", "titel": "Maps", "limit": 3}}

    answer = api.post("/batches", body, role="depositor")

    assert (answer.status, answer.json["type"].rpartition("#")[2]) == (400, "invalid-parameters")
    assert answer.json["errors"] == [
        {
            "field": "body.parameters.limit",
            "message": "deposit has no such parameter; "
            "its parameters are primary, local, creator, title, date",
        }
    ]


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("collection", "", "body.collection"),
        ("collection", "maps/1890", "body.collection"),
        ("collection", ".maps", "body.collection"),
        ("collection", "m" * 65, "body.collection"),
        ("filename", "a/b.checkm", "body.filename"),
        ("filename", "a\\b.checkm", "body.filename"),
        ("filename", "a\nb.checkm", "body.filename"),
        ("filename", "..", "body.filename"),
        ("filename", "${filename}", "body.filename"),
        ("filename", "é" * 128, "body.filename"),
        ("profile", "mrt-other-manifest", "body.profile"),
        ("notify", ["maps.example.org"], "body.notify[0]"),
        ("notify", ["maps@example.org", "a@b@example.org"], "body.notify[1]"),
        ("notify", ["maps@example.org\r\nBcc: other@example.org"], "body.notify[0]"),
        ("notify", ["a@example.org"] * 21, "body.notify"),
        ("notify", [",".join(f"a{n}@example.org" for n in range(21))], "body.notify[0]"),
        ("notify", [f"a{n}@example.org, b{n}@example.org" for n in range(20)], "body.notify"),
        ("notify", ["undisclosed-recipients:;"], "body.notify[0]"),
        ("notify", ["jane.doe at example.org"], "body.notify[0]"),
        ("callback_url", "ftp://maps.example.org/", "body.callback_url"),
        ("callback_url", "https:///done", "body.callback_url"),
        ("callback_url", "http://169.254.169.254/latest", "body.callback_url"),
        ("callback_url", "http://127.0.0.1:9001/next", "body.callback_url"),
        ("callback_url", "http://0x7f.1/", "body.callback_url"),
        ("callback_url", "http://[::ffff:10.0.0.1]/", "body.callback_url"),
        ("callback_url", "http://10.0.0.1/#https://maps.example.org", "body.callback_url"),
        ("callback_url", "http://localhost/done", "body.callback_url"),
        ("callback_url", "https://maps.example.org:22/", "body.callback_url"),
        ("callback_url", "https://jo:secret@maps.example.org/", "body.callback_url"),
        ("callback_url", "https://maps.example.org:port/", "body.callback_url"),
        ("callback_url", "https://maps.example.org/" + "a" * 2048, "body.callback_url"),
        ("parameters", {"title": "a" * 4096}, "body.parameters"),
        ("parameters", {"callback_url": "file:///etc/passwd"}, "body.parameters"),
        ("parameters", {"title": 7}, "body.parameters"),
        ("parameters", {"local": ["a", None]}, "body.parameters"),
        ("parameters", {"local": "a" * 1025}, "body.parameters"),
        ("parameters", {"local": ["a", "é" * 513]}, "body.parameters"),
        ("parameters", {"local": ";".join(map(str, range(101)))}, "body.parameters"),
        ("parameters", {"local": ["a\x1b[2J"]}, "body.parameters"),
        ("parameters", {"creator": "\u009b2J"}, "body.parameters"),
        ("parameters", {"primary": "doi:10.1/x"}, "body.parameters"),
        ("parameters", [], "body.parameters"),
        ("note", " ", "body.note"),
        ("note", "a\x00b", "body.note"),
        ("priority", 5, "body.priority"),
        ("job_type", "a" * 65, "body.job_type"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_is_allowed(
    api: Api, field: str, value: object, where: str
) -> None:
    answer = api.post("/batches", {**SUBMISSION, field: value}, role="depositor")

    assert (answer.status, answer.kind) == (422, "validation-failed")
    assert [each["field"] for each in answer.json["errors"]] == [where]
    assert answer.json["errors"][0]["message"]
    assert api.get("/batches").json["items"] == []


def test_every_wrong_field_is_reported_at_once(api: Api) -> None:
    answer = api.post("/batches", {"filename": "a/b", "notify": ["?"]}, role="depositor")

    errors = {each["field"]: each["message"] for each in answer.json["errors"]}
    assert errors["body.collection"] == "this field is required"
    assert set(errors) == {"body.collection", "body.filename", "body.notify[0]"}


def test_an_unknown_job_type_is_refused_with_the_known_ones(api: Api) -> None:
    answer = api.post("/batches", {**SUBMISSION, "job_type": "sweep"}, role="depositor")

    assert (answer.status, answer.kind) == (400, "bad-request")
    assert "deposit" in answer.json["detail"]


def test_an_announced_upload_that_never_came_is_gone(api: Api) -> None:
    late = NOW - timedelta(minutes=1)
    batch = a_batch("pending", source=None, upload_until=late)

    answer = api.get(f"/batches/{batch.batch_id}")

    assert (answer.status, answer.kind) == (410, "gone")
    assert api.get("/batches").json["items"] == []


def test_batches_are_listed_newest_first_and_by_the_page(api: Api) -> None:
    made = [a_batch(submitted_at=HOUR_AGO + timedelta(seconds=n)).batch_id for n in range(5)]

    seen, cursor = [], ""
    while cursor is not None:
        page = api.get("/batches", query={"limit": 2, "cursor": cursor}).json
        assert len(page["items"]) <= 2
        seen += [each["batch_id"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["failed maps", "completed maps", "failed books"]),
        ({"state": "failed"}, ["failed maps", "failed books"]),
        ({"collection": "maps"}, ["failed maps", "completed maps"]),
        ({"state": "failed", "collection": "maps"}, ["failed maps"]),
        ({"state": "held"}, []),
        ({"collection": "nowhere"}, []),
    ],
)
def test_batches_are_found_by_state_and_collection(
    api: Api, query: dict[str, str], found: list[str]
) -> None:
    for seconds, (state, collection) in enumerate(
        [("failed", "books"), ("completed", "maps"), ("failed", "maps")]
    ):
        at = HOUR_AGO + timedelta(seconds=seconds)
        a_batch(state, collection=collection, submitted_at=at)

    items = api.get("/batches", query=query).json["items"]

    assert [f"{each['state']} {each['collection']}" for each in items] == found


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5"])
def test_a_page_has_1_to_200_items(api: Api, limit: str) -> None:
    answer = api.get("/batches", query={"limit": limit})

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "query.limit"


def test_an_unknown_state_of_a_lifecycle_is_refused_with_the_known_ones(api: Api) -> None:
    answer = api.get("/batches", query={"state": "broken"})

    assert answer.status == 422
    assert "update_reporting" in answer.json["errors"][0]["message"]


def test_a_batch_shows_its_counts_its_failures_and_what_one_may_do(api: Api) -> None:
    batch = a_batch("failed", entries=5, last_report=1)
    a_job(batch, 0, "succeeded")
    a_job(batch, 1, "failed")
    a_job(batch, 2, "failed")
    a_job(batch, 3, "failed", failure_code="TIMEOUT")
    a_job(batch, 4, "succeeded")

    shown = api.get(f"/batches/{batch.batch_id}").json

    assert shown["counts"]["succeeded"] == 2
    assert shown["counts"]["failed"] == 3
    assert shown["counts"]["total"] == 5
    groups = [(each["failure_code"], each["count"]) for each in shown["failure_groups"]]
    assert groups == [("PAYLOAD_NOT_FOUND", 2), ("TIMEOUT", 1)]
    seen = {(each["first_seen_at"], each["last_seen_at"]) for each in shown["failure_groups"]}
    assert seen == {(HOUR_AGO.strftime("%Y-%m-%dT%H:%M:%SZ"),) * 2}
    assert shown["label"] == "Failed"
    assert shown["waiting_reason"] == "3 failed jobs for a person to requeue or delete"
    assert shown["actions"] == ["update_reporting", "delete"]
    assert [each["event"] for each in shown["history"]] == ["start", "report", "fail"]
    assert shown["history"][0]["from"] == "pending"
    assert shown["submitted_at"] == HOUR_AGO.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name in ("jobs", "findings", "reports"):
        path = shown["links"][name].removeprefix("https://jobyard.example.org/api")
        assert api.get(path).status == 200


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
@pytest.mark.parametrize("state", [each.name for each in BATCH.states])
def test_an_event_that_is_not_open_is_refused_and_its_reason_is_shown(
    api: Api, state: str, role: str
) -> None:
    batch = a_batch(state, entries=3, last_report=1)
    if state == "failed":
        for number in range(3):
            a_job(batch, number, "failed")

    shown = api.get(f"/batches/{batch.batch_id}", role=role).json

    closed = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert sorted([*closed, *shown["actions"]]) == sorted(BATCH.people_events())
    assert all(closed.values())
    for event in closed:
        answer = api.post(f"/batches/{batch.batch_id}/{event}", WHY, role=role)
        assert answer.status in {403, 409}


def test_a_batch_with_running_jobs_says_why_it_cannot_be_deleted(api: Api) -> None:
    batch = a_batch("failed", entries=1, last_report=1)
    a_job(batch, 0, "running")

    shown = api.get(f"/batches/{batch.batch_id}").json

    assert "delete" not in shown["actions"]
    reasons = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert reasons["delete"] == "jobs of it are running or scheduled: wait, or force-fail them"


def test_a_batch_of_many_chunks_says_when_its_jobs_were_counted(api: Api) -> None:
    many = a_batch(entries=2 * MAX_UNSTORED_CHUNKS + 1)
    few = a_batch(entries=2 * MAX_UNSTORED_CHUNKS)
    a_job(many, 40, "running")

    shown = api.get(f"/batches/{many.batch_id}").json

    assert (shown["counts"]["running"], shown["counts"]["scheduled"]) == (1, 40)
    assert shown["counted_at"].startswith(NOW.strftime("%Y-%m-%dT%H:%M:%S"))
    assert api.get(f"/batches/{few.batch_id}").json["counted_at"] is None
    listed = {each["batch_id"]: each for each in api.get("/batches").json["items"]}
    assert listed[many.batch_id]["counted_at"] == shown["counted_at"]
    assert listed[few.batch_id]["counted_at"] is None


def test_a_held_batch_says_who_holds_it_and_until_when(api: Api) -> None:
    until = NOW + timedelta(hours=2)
    holds.put(Hold("collection:maps", "an-operator", "the store moves", HOUR_AGO, until))
    batch = a_batch("held")

    shown = api.get(f"/batches/{batch.batch_id}").json

    assert shown["waiting_reason"] == "collection:maps is held by an-operator: the store moves"
    assert shown["waiting_until"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_batch_whose_last_jobs_are_held_names_the_holder_too(api: Api) -> None:
    until = NOW + timedelta(hours=2)
    holds.put(Hold("everything", "an-operator", "the store moves", HOUR_AGO, until))
    batch = a_batch("processing", entries=2)
    a_job(batch, 0, "held")
    a_job(batch, 1, "succeeded")

    shown = api.get("/batches").json["items"][0]
    job = api.get(f"/jobs/{batch.batch_id}.0.0").json

    assert (
        shown["waiting_reason"]
        == "waits for its jobs: 1 held; everything is held by an-operator: the store moves"
    )
    assert shown["waiting_until"] == job["waiting_until"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert job["waiting_reason"] == "everything is held by an-operator: the store moves"


def test_a_batch_shows_its_strip_its_rate_and_the_digest_of_its_manifest(api: Api) -> None:
    batch = a_batch(
        "processing",
        entries=4,
        started_at=NOW - timedelta(seconds=10),
        manifest_sha256="ab" * 32,
    )
    a_job(batch, 0, "succeeded")
    a_job(batch, 1, "failed")
    a_job(batch, 2, "running")

    shown = api.get(f"/batches/{batch.batch_id}").json

    assert shown["strip"] == [
        {"columns": 1, "shares": {state: 15}}
        for state in ("succeeded", "failed", "running", "scheduled")
    ]
    assert shown["manifest_sha256"] == "ab" * 32
    assert shown["rate"] == pytest.approx(0.2, rel=0.01)
    assert shown["seconds_left"] == pytest.approx(10, rel=0.01)
    waiting = api.get(f"/batches/{a_batch('processing', entries=4).batch_id}").json
    assert (waiting["rate"], waiting["seconds_left"]) == (None, None)


def test_an_unknown_batch_is_not_found_whatever_its_id_looks_like(api: Api) -> None:
    for batch_id in ("b" + "a" * 20, "b1", "holds", "b" * 64):
        for rest in ("", "/jobs", "/findings", "/reports", "/operations/r1"):
            answer = api.get(f"/batches/{batch_id}{rest}")
            assert (answer.status, answer.kind) == (404, "not-found")


@pytest.mark.parametrize(
    ("state", "event", "after", "status"),
    [
        ("held", "release", "pending", 202),
        ("held", "delete", "deleted", 200),
        ("processing", "cancel", "cancelling", 202),
        ("failed", "update_reporting", "update_reporting", 202),
        ("failed", "delete", "deleted", 200),
    ],
)
def test_an_event_changes_the_batch_and_records_the_actor_and_the_reason(
    api: Api, state: str, event: str, after: str, status: int
) -> None:
    batch = a_batch(state, last_report=1, entries=1)

    answer = api.post(f"/batches/{batch.batch_id}/{event}", WHY)

    assert answer.status == status
    assert answer.json["state"] == after
    shown = api.get(f"/batches/{batch.batch_id}").json
    assert shown["state"] == after
    last = shown["history"][-1]
    assert (last["actor"], last["reason"]) == ("admin", "the server is back")


def test_an_event_of_a_person_starts_the_machine(api: Api) -> None:
    batch = a_batch("processing", entries=1)

    api.post(f"/batches/{batch.batch_id}/cancel", WHY)

    started = [name for name in executions("batch") if name.startswith(batch.batch_id)]
    assert len(started) == 1
    assert started[0].startswith(f"{batch.batch_id}-settle-r")


@pytest.mark.parametrize("state", [state.name for state in BATCH.states])
def test_a_batch_refuses_an_event_that_its_state_does_not_allow(api: Api, state: str) -> None:
    known = BATCH.actions(state, ["admin"])
    for event in BATCH.people_events():
        if event not in known:
            batch = a_batch(state)
            answer = api.post(f"/batches/{batch.batch_id}/{event}", WHY)
            assert (answer.status, answer.kind) == (409, "invalid-transition")
            assert f"batch is {state}" in answer.json["detail"]


@pytest.mark.parametrize("event", ["start", "complete", "hold", "explode"])
def test_only_events_a_person_may_send_are_there(api: Api, event: str) -> None:
    batch = a_batch("pending")

    answer = api.post(f"/batches/{batch.batch_id}/{event}", WHY)

    assert (answer.status, answer.kind) == (404, "not-found")
    assert "release, delete, cancel, update_reporting" in answer.json["detail"]


@pytest.mark.parametrize("reason", [None, "", "  ", "a" * 501, "\U0001f5c3" * 126, "a\x07"])
def test_a_request_needs_a_reason(api: Api, reason: str | None) -> None:
    batch = a_batch("processing")

    body = {} if reason is None else {"reason": reason}
    answer = api.post(f"/batches/{batch.batch_id}/cancel", body)

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "body.reason"


def test_a_batch_that_was_never_reported_is_not_reported_again(api: Api) -> None:
    batch = a_batch("failed", entries=1)

    answer = api.post(f"/batches/{batch.batch_id}/update_reporting", WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")


def test_reports_are_shown_with_links_to_their_files(api: Api) -> None:
    batch = a_batch("failed", entries=1)
    keys = ("jobs.csv", "failures.csv", "report.json", "report.html", "outcomes")
    first = Report(
        batch.batch_id,
        1,
        ReportKind.FIRST,
        HOUR_AGO,
        ("depositor@example.org",),
        "FAIL",
        "failed",
        {"failed": 1},
        1,
        {name: f"reports/{batch.batch_id}/1/{name}" for name in keys},
        Delivery(DeliveryState.DELIVERED, HOUR_AGO, "m-1"),
    )
    reports.put_new(first)
    reports.put_new(replace(first, seq=2, kind=ReportKind.UPDATE, files={}))

    items = api.get(f"/batches/{batch.batch_id}/reports").json["items"]

    assert [(each["seq"], each["kind"]) for each in items] == [(1, "first"), (2, "update")]
    assert items[0]["delivery"]["state"] == "delivered"
    assert items[0]["delivery"]["message_id"] == "m-1"
    links = items[0]["files"]
    assert f"/reports/{batch.batch_id}/1/failures.csv?" in links["failures_csv"]
    # S3 answers with these, whatever the object's metadata say.
    shown = {name: parse_qs(urlsplit(link).query) for name, link in links.items()}
    assert {
        name: (
            query["response-content-type"],
            query["response-content-disposition"][0].partition(";")[0],
        )
        for name, query in shown.items()
    } == {
        "jobs_csv": (["text/csv; charset=utf-8"], "attachment"),
        "failures_csv": (["text/csv; charset=utf-8"], "attachment"),
        "json": (["application/json; charset=utf-8"], "attachment"),
        "html": (["text/html; charset=utf-8"], "inline"),
    }
    assert items[1]["files"] == dict.fromkeys(("jobs_csv", "failures_csv", "json", "html"))


def test_findings_come_by_the_page_in_the_manifests_order(api: Api) -> None:
    batch = a_batch("failed", findings=5)
    found = [
        {"level": "error", "code": "URL_BAD", "line": n, "column": 3, "message": "é no URL"}
        for n in range(1, 6)
    ]
    put_findings(batch, found)

    seen, cursor = [], ""
    while cursor is not None:
        query = {"limit": 2, "cursor": cursor}
        page = api.get(f"/batches/{batch.batch_id}/findings", query=query).json
        seen += page["items"]
        cursor = page["next_cursor"]

    assert seen == found


def test_a_finding_without_a_position_has_neither_line_nor_column(api: Api) -> None:
    batch = a_batch("failed", findings=1)
    finding = {"level": "error", "code": "NO_ROWS", "line": 0, "column": 0, "message": "no rows"}
    put_findings(batch, [finding])

    (seen,) = api.get(f"/batches/{batch.batch_id}/findings").json["items"]

    assert seen == {**finding, "line": None, "column": None}


def test_a_batch_without_findings_has_none_to_show(api: Api) -> None:
    batch = a_batch("completed")

    assert api.get(f"/batches/{batch.batch_id}/findings").json == {"items": [], "next_cursor": None}


def test_the_jobs_whose_outcome_changed_between_two_reports_are_listed(api: Api) -> None:
    batch = a_batch("failed", entries=5, last_report=3)
    for seq, outcomes in ((1, "ssfff"), (2, "sssff"), (3, "ssscf")):
        a_report(batch, seq, outcomes)
    path = f"/batches/{batch.batch_id}/reports/3/changes"

    def changes(**query: int) -> list[tuple[str, str, str]]:
        found, cursor = [], ""
        while cursor is not None:
            page = api.get(path, query={**query, "limit": 1, "cursor": cursor}).json
            found += page["items"]
            cursor = page["next_cursor"]
        return [(each["name"], each["before"], each["after"]) for each in found]

    assert changes() == [("3", "failed", "cancelled")]
    assert changes(since=1) == [("2", "failed", "succeeded"), ("3", "failed", "cancelled")]
    assert changes(since=3) == []
    first = f"/batches/{batch.batch_id}/reports/1/changes"
    assert api.get(first).status == 404  # there is no report 0


def test_a_page_of_changes_reads_so_many_outcomes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_queries, "_LETTERS_READ", 2)
    batch = a_batch("failed", entries=5)
    a_report(batch, 1, "sssss")
    a_report(batch, 2, "ssssf")

    pages, cursor = [], ""
    while cursor is not None:
        page = api.get(
            f"/batches/{batch.batch_id}/reports/2/changes", query={"cursor": cursor}
        ).json
        pages.append([each["job_id"] for each in page["items"]])
        cursor = page["next_cursor"]

    assert pages == [[], [], [f"{batch.batch_id}.2.0"]]


def test_a_report_is_sent_again_by_an_admin_with_a_reason(api: Api) -> None:
    batch = a_batch("failed", entries=1)
    a_report(batch)
    path = f"/batches/{batch.batch_id}/reports/1/resend"

    assert api.post(path, WHY, role="operator").status == 403
    assert api.post(path, {}).status == 422
    answer = api.post(path, WHY)

    assert answer.status == 202
    assert answer.json["delivery"]["state"] == "queued"
    assert [each.batch_id for each in reports.undelivered()] == [batch.batch_id]
    again = api.post(path, WHY)
    assert (again.status, again.kind) == (409, "invalid-transition")
    assert "waits to be sent already" in again.json["detail"]


@pytest.mark.parametrize("state", DeliveryState)
def test_only_a_mail_that_was_sent_or_lost_is_sent_again(api: Api, state: DeliveryState) -> None:
    batch = a_batch("failed", entries=1)
    a_report(batch, delivery=Delivery(state, HOUR_AGO, "m-1"))

    answer = api.post(f"/batches/{batch.batch_id}/reports/1/resend", WHY)

    sent_or_lost = {"sent", "delivered", "bounced", "failed"}
    assert answer.status == (202 if state in sent_or_lost else 409)
