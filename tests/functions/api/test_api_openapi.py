"""The OpenAPI document and what is made of it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.openapi.markdown import api_page
from api.problems import STATUS, slug_of, title_of
from api.request_body import MAX_BYTES
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
            continue  # what the document is a list of
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
def test_a_list_of_words_that_is_explained_is_explained_whole(name: str) -> None:
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


def test_every_refusal_has_a_status_and_a_name_of_its_own() -> None:
    slugs = [slug_of(kind) for kind in STATUS]

    assert len(set(slugs)) == len(slugs)
    assert all(title_of(kind) for kind in STATUS)


class _Page(HTMLParser):
    """What a page has: ids, links, elements and how much of the text says."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attributes:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")


def test_the_page_is_small_and_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.get("/docs", role="nobody")

    page = _Page()
    page.feed(answer.text)
    assert len(answer.text.encode()) < 200_000
    assert not page.elements & {"script", "link", "img", "iframe", "form"}
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith("#") or link == "openapi.json" for link in page.links)
    assert "prefers-color-scheme:dark" in answer.text


def test_every_link_on_the_page_leads_somewhere(api: Api) -> None:
    page = _Page()
    page.feed(api.get("/docs", role="nobody").text)

    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {slug_of(kind) for kind in STATUS} <= set(page.ids)
    assert set(NAMES) <= set(page.ids)


def test_the_pages_style_is_the_one_its_policy_allows(api: Api) -> None:
    import base64
    import hashlib

    answer = api.get("/docs", role="nobody")

    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_the_manuals_page_of_the_api_is_fresh() -> None:
    written = Path(ROOT / "docs" / "api.md").read_text()

    assert written == api_page(), "docs/api.md is stale: make docs"


def test_the_size_of_a_body_is_told_as_it_is() -> None:
    assert f"{MAX_BYTES // 1024} KB" in described()["info"]["description"]
