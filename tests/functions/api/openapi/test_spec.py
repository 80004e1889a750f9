"""The OpenAPI document and its page."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.problems import problem_table
from api.request_body import MAX_BYTES
from gateway.errors import PROBLEMS
from jobyard.domain.batches.batch import BATCH
from jobyard.domain.jobs.job import JOB
from tests.functions.api.api_client import Api, described, operation_of
from tests.tables import ROOT

OPERATIONS = [
    (method, path, operation)
    for path, operations in described()["paths"].items()
    for method, operation in operations.items()
]
NAMES = [operation["operationId"] for *_, operation in OPERATIONS]


def test_the_document_is_valid_openapi_3_1(api: Api) -> None:
    document = api.get("/openapi.json", role="nobody").json

    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()
    assert document["servers"] == [{"url": "https://jobyard.example.org"}]


def test_operations_have_names_of_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in NAMES)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_a_route_says_what_it_does_and_how_it_may_refuse(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    answers = operation["responses"]

    assert operation["summary"]
    assert all(each["description"] for each in operation.get("parameters", []))
    assert all(each["description"] for each in answers.values())
    assert "500" in answers
    assert ("401" in answers) is (operation.get("security") != [])
    assert ("304" in answers) is (method == "get")
    assert ("413" in answers) is (method != "get")
    for status, answer in answers.items():
        if status >= "400":
            assert list(answer["content"]) == ["application/problem+json"]
    if "{batch_id}" in path or "{job_id}" in path:
        assert {"404", "410"} <= set(answers)


@pytest.mark.parametrize("name", described()["components"]["schemas"])
def test_a_document_and_its_fields_are_described(name: str) -> None:
    schema = described()["components"]["schemas"][name]

    assert schema["description"]
    for field, means in schema.get("properties", {}).items():
        if field in {"items", "states", "transitions"}:
            continue  # described with the document
        assert "$ref" in means or means.get("description"), field


@pytest.mark.parametrize(
    "name",
    [
        "DeliveryState",
        "ReportKind",
        "Failure",
        "MissedPolicy",
        "OverlapPolicy",
        "Trigger",
        "Verdict",
        "SkipReason",
    ],
)
def test_a_documented_enumeration_is_documented_completely(name: str) -> None:
    schema = described()["components"]["schemas"][name]

    assert [word for word in schema["enum"] if f"`{word}`" not in schema["description"]] == []


def test_nothing_is_described_that_is_not_used() -> None:
    text = str(described())

    for name in described()["components"]["schemas"]:
        assert f"'#/components/schemas/{name}'" in text


@pytest.mark.parametrize(
    ("path", "events"),
    [
        ("/api/batches/b/x", BATCH.people_events()),
        ("/api/jobs/b.0.0/x", JOB.people_events()),
    ],
)
def test_the_events_one_may_send_are_listed(path: str, events: tuple[str, ...]) -> None:
    operation = operation_of("POST", path)
    assert operation

    (event,) = [each for each in operation["parameters"] if each["name"] == "event"]
    assert event["schema"]["enum"] == list(events)


def test_every_refusal_has_a_name_of_its_own() -> None:
    names = [problem.name for problem in PROBLEMS.values()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in names)


def test_the_table_of_errors_is_part_of_the_documentation() -> None:
    page = (ROOT / "docs" / "api.md").read_text()

    assert problem_table() in described()["info"]["description"]
    assert page.partition("<!-- errors -->\n")[2].partition("\n<!-- /errors -->")[0] == (
        problem_table()
    )


def test_the_committed_document_is_the_one_that_is_served(api: Api) -> None:
    served = api.get("/openapi.json", role="nobody").json | {"servers": [{"url": "/"}]}

    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())

    assert committed == served, "docs/openapi.json is stale: make docs"


class _Page(HTMLParser):
    """The resources that a page loads, and its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert not [name for name in given if name.startswith("on") or name == "style"]
        if tag in {"link", "script"}:
            self.loaded += [str(given[name]) for name in ("href", "src") if name in given]
        self._in_script = tag == "script" and "src" not in given

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def _page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = _page(api.get("/docs", role="nobody").text)

    assets = [each for each in page.loaded if each != "data:,"]

    assert assets == ["docs/swagger-ui.min.css", "docs/swagger-ui-bundle.min.js"]
    for asset in assets:
        answer = api.get(f"/{asset}", role="nobody", headers={"accept-encoding": "gzip"})
        assert answer.status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].startswith("text/")
        assert answer.headers["cache-control"].startswith("public")
        assert answer.headers["content-encoding"] == "gzip"
        assert "://cdn" not in answer.text


def test_the_pages_policy_allows_its_own_script_and_no_other(api: Api) -> None:
    answer = api.get("/docs", role="nobody")

    (script,) = _page(answer.text).scripts

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("name", ["__init__.py", "swagger-ui.js", "..", "%2e%2e%2fhtml.py"])
def test_no_other_file_is_served(api: Api, name: str) -> None:
    assert api.get(f"/docs/{name}", role="nobody").status == 404


def test_the_size_of_a_body_is_documented_as_it_is() -> None:
    assert f"{MAX_BYTES // 1024} KB" in described()["info"]["description"]
