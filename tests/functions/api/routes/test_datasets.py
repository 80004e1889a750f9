"""Datasets through the API: load, list, show, edit and export them."""

import json
from typing import Any

import pytest

from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.extent import parse_extent
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load
from jobyard.services.executions import dataset_execution
from jobyard.services.queries.datasets import RESPONSE_BYTES
from tests.functions.api.api_client import Answer, Api
from tests.services.datasets.datasets import by_id, changes_to, make_dataset, point

BEFORE = by_id([point("1", 1, name=None), point("a/b é", 50)])
AFTER = by_id([point("1", 1, name="x"), point("3", -150)])


@pytest.fixture
def context(api: Api) -> DatasetContext:
    """The context of the services, in the API's deployment."""
    from api.handler import CONTEXT

    return DatasetContext(CONTEXT.settings, CONTEXT.s3, api.tick)


@pytest.fixture
def roads(context: DatasetContext) -> str:
    """A dataset with a commit."""
    make_dataset("roads", BEFORE.values(), context)
    origin = CommitOrigin("e1", 1, (Author("id-anna", "anna"),), "bridges")
    commit("roads", 1, changes_to(BEFORE, AFTER), origin, context)
    return "roads"


def started(api: Api) -> dict[str, dict[str, Any]]:
    """The input of each execution of the edit machine, by the execution's name."""
    from api.handler import CONTEXT

    machines, arn = CONTEXT.machines, CONTEXT.settings.edit_machine
    found = machines.list_executions(stateMachineArn=arn)["executions"]
    return {
        each["name"]: json.loads(
            machines.describe_execution(executionArn=each["executionArn"])["input"]
        )
        for each in found
    }


def load_of(api: Api, answer: Answer) -> dict[str, Any]:
    """The input of the execution that a request started; others may have loaded a `loaded` too."""
    load_id = answer.headers["location"].rpartition("/")[2]
    (found,) = (each for each in started(api).values() if each.get("load_id") == load_id)
    return found


def test_a_dataset_is_uploaded_loaded_and_shown(api: Api, context: DatasetContext) -> None:
    upload = api.post("/datasets/uploads", {"filename": "f.geojson"}, role="planner").json
    content = {"type": "FeatureCollection", "features": [BEFORE["1"].document()]}
    context.s3.put_object(
        Bucket=context.settings.intake_bucket, Key=upload["file"], Body=json.dumps(content)
    )
    request = {"name": "loaded", "file": upload["file"], "title": "Loaded", "precision": 5}

    answer = api.post("/datasets", request, role="planner")

    assert (answer.status, answer.json["state"]) == (202, "loading")
    path = answer.headers["location"].partition("/api")[2]
    document = load_of(api, answer)
    load(document, context)
    assert api.get(path, role="planner").json["state"] == "loaded"
    shown = api.get("/datasets/loaded", role="viewer").json
    assert (shown["title"], shown["revision"], shown["features"]) == ("Loaded", 1, 1)
    assert (shown["precision"], shown["boxes"]) == (5, [[1, 0, 1, 0]])
    assert api.post("/datasets", request, role="planner").status == 409
    assert api.post("/datasets", request, role="viewer").status == 403


def test_the_findings_of_a_file_are_shown(api: Api, context: DatasetContext) -> None:
    upload = api.post("/datasets/uploads", {"filename": "f.geojson"}).json
    context.s3.put_object(
        Bucket=context.settings.intake_bucket, Key=upload["file"], Body=b'{"type":\nNaN}'
    )
    answer = api.post("/datasets", {"name": "bad", "file": upload["file"]})
    document = load_of(api, answer)

    load(document, context)

    found = api.get(answer.headers["location"].partition("/api")[2]).json
    assert (found["state"], found["errors"]) == ("refused", 1)
    assert (found["findings"][0]["line"], found["findings"][0]["code"]) == (2, "NUMBER_BAD")
    assert api.get("/datasets/bad").status == 404
    assert api.get("/datasets/bad/loads/x").status == 404


def test_datasets_are_listed_by_name_in_pages(api: Api, context: DatasetContext) -> None:
    for name in ("b", "a", "c"):
        make_dataset(name, BEFORE.values(), context)

    first = api.get("/datasets", query={"limit": "2"}).json
    second = api.get("/datasets", query={"limit": "2", "cursor": first["next_cursor"]}).json

    assert [each["name"] for each in first["items"]] == ["a", "b"]
    assert [each["name"] for each in second["items"]] == ["c"]
    assert second["next_cursor"] is None
    assert api.get("/datasets", role="depositor").status == 403


def test_commits_and_changes_are_listed(api: Api, roads: str) -> None:
    (made,) = api.get(f"/datasets/{roads}/commits").json["items"]
    changes = api.get(f"/datasets/{roads}/changes", query={"limit": "2"}).json
    rest = api.get(
        f"/datasets/{roads}/changes", query={"limit": "2", "cursor": changes["next_cursor"]}
    ).json

    assert (made["revision"], made["comment"], made["authors"]) == (2, "bridges", ["anna"])
    assert (made["inserted"], made["updated"], made["deleted"]) == (1, 1, 1)
    items = [*changes["items"], *rest["items"]]
    assert {each["id"]: each["op"] for each in items} == {
        "1": "update", "a/b é": "delete", "3": "insert"
    }  # fmt: skip
    assert api.get(f"/datasets/{roads}/changes", query={"since": "3"}).status == 400


def test_features_are_read_at_a_revision_by_box_and_by_id(api: Api, roads: str) -> None:
    world = api.get(f"/datasets/{roads}/features", query={"box": "-180,-90,180,90"}).json
    pacific = api.get(f"/datasets/{roads}/features", query={"box": "170,-10,-100,10"}).json
    before = api.get(f"/datasets/{roads}/feature", query={"id": "a/b é", "revision": "1"}).json

    assert world["type"] == "FeatureCollection"
    assert {each["id"] for each in world["features"]} == {"1", "3"}
    assert [each["id"] for each in pacific["features"]] == ["3"]
    assert before == BEFORE["a/b é"].document()
    assert api.get(f"/datasets/{roads}/feature", query={"id": "a/b é"}).status == 404
    for box in ("1,2,3", "x", "0,0,1,nan", "0,0,1,inf"):
        assert api.get(f"/datasets/{roads}/features", query={"box": box}).status == 400


def test_the_history_of_a_feature_has_it_before_and_after(api: Api, roads: str) -> None:
    (change,) = api.get(f"/datasets/{roads}/history", query={"id": "1"}).json["items"]

    assert (change["op"], change["edit_id"]) == ("update", "e1")
    assert (change["before"], change["after"]) == (BEFORE["1"].document(), AFTER["1"].document())
    assert api.get(f"/datasets/{roads}/history", query={"id": "none"}).json["items"] == []


def test_what_is_larger_than_a_response_is_left_out_and_exported(
    api: Api, context: DatasetContext
) -> None:
    small, large = point("1", 1), point("1", 1, note="n" * RESPONSE_BYTES)
    make_dataset("notes", [small], context)
    origin = CommitOrigin("e1", 1, (Author("id-anna", "anna"),), "")
    commit("notes", 1, changes_to(by_id([small]), by_id([large])), origin, context)

    answer = api.get("/datasets/notes/feature", query={"id": "1"})
    (change,) = api.get("/datasets/notes/history", query={"id": "1"}).json["items"]

    assert (answer.status, "export it" in answer.json["detail"]) == (400, True)
    assert (change["revision"], change["op"], change["is_cut"]) == (2, "update", True)
    assert (change["before"], change["after"]) == (None, None)


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        ({"type": "text"}, "/type: it is one of"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "references form no circle"),
        ({"$ref": "https://example.org/schema.json"}, "no other document is read"),
        ({"pattern": "^(a+)+$", "patternProperties": {}}, "/patternProperties: it is not among"),
        ({"pattern": "((a{90}){90}){90}"}, "more than 500 states"),
    ],
)
def test_a_schema_that_no_check_may_use_is_refused_when_it_is_set(
    api: Api, roads: str, schema: Any, allowed: str
) -> None:
    rules = [{"rule": "schema", "schema": schema}]

    bad = api.request("PUT", f"/datasets/{roads}", body={"rules": rules, "reason": "because"})

    (error,) = bad.json["errors"]
    assert (bad.status, error["field"]) == (400, "body.rules[0].schema")
    assert allowed in error["message"]


def test_an_admin_sets_title_and_rules(api: Api, roads: str) -> None:
    rules = [{"rule": "unique", "name": "names", "properties": ["name"]}]
    request = {"title": "Streets", "rules": rules, "version": 1, "reason": "because"}

    answer = api.request("PUT", f"/datasets/{roads}", body=request)

    assert (answer.status, answer.json["title"], answer.json["version"]) == (200, "Streets", 2)
    assert api.request("PUT", f"/datasets/{roads}", body=request | {"title": "Other"}).status == 409
    bad = api.request(
        "PUT", f"/datasets/{roads}", body={"rules": [{"rule": "none"}], "reason": "because"}
    )
    assert bad.json["errors"][0]["field"].startswith("body.rules")
    assert api.request("PUT", f"/datasets/{roads}", body=request, role="planner").status == 403


def test_an_extent_is_exported_with_a_link(api: Api, context: DatasetContext, roads: str) -> None:
    extent = parse_extent({"box": [0, 0, 9, 9]}).document()

    answer = api.post(f"/datasets/{roads}/exports", {"extent": extent}, role="worker")

    assert (answer.status, answer.json["state"]) == (202, "exporting")
    name = dataset_execution(answer.headers["location"].rpartition("/")[2])
    export(started(api)[name], context)
    found = api.get(answer.headers["location"].partition("/api")[2]).json
    assert (found["state"], found["count"]) == ("ready", 1)
    assert found["filename"] == "roads-2-extent.geojson.gz"
    assert "X-Amz-Signature" in found["url"]
    assert api.post(f"/datasets/{roads}/exports", {"extent": {"box": [1]}}).status == 400
