"""Unknown fields and parameters are refused as problems, after access was checked."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobyard.domain.access import ROLES
from jobyard.domain.text import is_clean
from tests.functions.api.api_client import Api, described, event, operation_of
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.schedule_records import a_schedule

GETS = sorted(path for path, operations in described()["paths"].items() if "get" in operations)
READING = [
    (method.upper(), path)
    for path, operations in described()["paths"].items()
    for method, operation in operations.items()
    if "requestBody" in operation
]
FOR_ANYBODY = {("POST", "/api/callbacks")}  # it needs a token of its own, and no role


def filled(path: str) -> str:
    """A path of the document with values for its parameters."""
    for name, value in {
        "{batch_id}": "b" + "a" * 20,
        "{schedule_id}": "s" + "a" * 20,
        "{job_id}": "b" + "a" * 20 + ".0.0",
        "{operation_id}": "r1",
        "{scope}": "everything",
        "{seq}": "1",
        "{number}": "1",
        "{index}": "1",
        "{column}": "allocated",
    }.items():
        path = path.replace(name, value)
    while "{" in path:
        path = f"{path[: path.index('{')]}maps{path[path.index('}') + 1 :]}"
    return path.removeprefix("/api")


@pytest.mark.parametrize("path", GETS)
def test_a_parameter_that_a_route_does_not_know_is_refused(api: Api, path: str) -> None:
    parameters = [
        each
        for each in described()["paths"][path]["get"].get("parameters", ())
        if each["in"] == "query"
    ]
    known = [each["name"] for each in parameters]
    needed = {each["name"]: "1" for each in parameters if each["required"]}

    answer = api.get(filled(path), query={"stat": "failed", **needed})

    assert (answer.status, answer.kind) == (422, "validation-failed")
    (wrong,) = answer.json["errors"]
    assert wrong["field"] == "query.stat"
    assert all(name in wrong["message"] for name in known)


def test_a_parameter_of_a_change_that_no_route_knows_is_refused(api: Api) -> None:
    answer = api.request("DELETE", "/holds/everything", query={"reson": "typo", "reason": "over"})

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "query.reson"


def test_the_name_of_an_unknown_parameter_is_cleaned(api: Api) -> None:
    (wrong,) = api.get("/batches", query={"\x1b[2J\r\n": "1"}).json["errors"]

    assert wrong["field"] == "query.\ufffd[2J\ufffd\ufffd"


def may_send(method: str, path: str) -> frozenset[str]:
    """The roles that may send such a request."""
    from api.access import roles_needed

    return frozenset(roles_needed(method, filled(path).removeprefix("/")) or ROLES)


@pytest.mark.parametrize(("method", "path"), [each for each in READING if each not in FOR_ANYBODY])
@pytest.mark.parametrize(
    "body", ["{", "[]", '{"x": NaN}', '{"there is no such field": 1}', "x" * 300_000]
)
def test_without_the_role_the_errors_of_a_body_are_not_shown(
    api: Api, method: str, path: str, body: str
) -> None:
    refused = {
        role: api.request(method, filled(path), body=body, role=role) for role in (*ROLES, "")
    }

    for role, answer in refused.items():
        if role in may_send(method, path):
            assert answer.status in {400, 413, 422}, role
        else:
            assert (answer.status, answer.kind) == (403, "forbidden"), role
    assert refused[""].status == 403


@pytest.mark.parametrize("path", ["/batches", "/holds", "/schedules", "/calendars"])
def test_without_the_role_the_errors_of_a_query_are_not_shown(api: Api, path: str) -> None:
    for query in ({"limit": "many"}, {"stat": "failed"}):
        assert api.get(path, query=query, role="worker").status == 403


def test_a_malformed_body_without_a_token_is_answered_with_401(api: Api) -> None:
    assert api.request("POST", "/batches", body="{", role="nobody").status == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api", 404),
        ("POST", "/", 404),
        ("PUT", "/api/batches", 405),
        ("DELETE", "/api/me", 405),
        ("TRACE", "/api/me", 405),
    ],
)
def test_any_event_of_the_gateway_is_answered_with_a_problem(
    api: Api, method: str, path: str, status: int
) -> None:
    sent = event(method, "/x")
    sent["rawPath"] = sent["requestContext"]["http"]["path"] = path

    answer = api.send(sent)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["instance"] == path


def links_in(found: Any) -> Iterator[tuple[str, str]]:
    """All links of a document, by name."""
    if isinstance(found, Mapping):
        yield from found.get("links", {}).items()
        for each in found.values():
            yield from links_in(each)
    elif isinstance(found, list):
        for each in found:
            yield from links_in(each)


def test_every_link_can_be_followed(api: Api) -> None:
    batch = a_batch("failed", entries=1, last_report=1)
    job = a_job(batch, 0, "failed")
    schedule = a_schedule()
    api.request("PUT", "/holds/everything", body={"reason": "because"})
    retry = {"reason": "because"}
    shown = [
        api.post("/batches", {"collection": "maps", "filename": "a.checkm"}),
        api.get("/batches"),
        api.get(f"/batches/{batch.batch_id}"),
        api.get(f"/batches/{batch.batch_id}/jobs"),
        api.get(f"/batches/{batch.batch_id}/cost"),
        api.get(f"/jobs/{job.address.job_id}"),
        api.post(f"/batches/{batch.batch_id}/operations", retry),
        api.get("/schedules"),
        api.get(f"/schedules/{schedule.schedule_id}"),
        api.get(f"/schedules/{schedule.schedule_id}/cost"),
        api.get(f"/schedules/{schedule.schedule_id}/occurrences"),
        api.get("/holds"),
        api.get("/holds/everything"),
        api.get("/collections"),
    ]

    assert [answer.status for answer in shown if answer.status >= 400] == []
    found = {name: urlsplit(link).path for each in shown for name, link in links_in(each.json)}
    assert found
    assert [name for name, path in found.items() if operation_of("GET", path) is None] == []


@pytest.mark.parametrize("named", ["\x1b[31mred", "a\u202egnp", "a\r\nb", "\x9b2J"])
def test_a_refusal_shows_no_control_characters_of_the_request(api: Api, named: str) -> None:
    submitted = api.post("/batches", {"collection": "maps", "filename": "a.csv", named: 1})
    searched = api.get("/batches", query={named: "x"})
    unknown = api.get("/batches", query={"state": named})

    for answer in (submitted, searched, unknown):
        assert answer.status in {400, 422}
        texts = [answer.json["detail"], *map(str, answer.json.get("errors", ()))]
        texts += [each["field"] for each in answer.json.get("errors", ())]
        assert all(is_clean(each) for each in texts), texts
