"""What people do with datasets, and what lists show them."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.load import UPLOADS_PREFIX, LoadState
from jobyard.domain.errors import BadRequest, InvalidRule, InvalidTransition, NotFound, StaleState
from jobyard.domain.ids import load_id_of
from jobyard.domain.upload_keys import upload_key
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.datasets.commands import (
    DatasetEdit,
    NewDataset,
    edit,
    start_export,
    start_load,
)
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load
from jobyard.services.datasets.readers import head
from jobyard.services.queries import datasets as queries
from tests.harness import Harness
from tests.services.datasets.datasets import by_id, changes_to, make_dataset, origin, point

pytestmark = pytest.mark.emulator
ANNA = Actor("id-anna", "anna", frozenset({"admin"}))
FILE = b'{"type": "FeatureCollection", "features": []}'


class Machines:
    """A state machine that starts nothing by itself."""

    class exceptions:
        ExecutionAlreadyExists = KeyError
        ExecutionDoesNotExist = LookupError

    def __init__(self) -> None:
        self.started: dict[str, Mapping[str, Any]] = {}
        self.status = "RUNNING"

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:
        assert stateMachineArn == "edit"
        if name in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        self.started[name] = json.loads(input)

    def describe_execution(self, *, executionArn: str) -> Mapping[str, Any]:
        if executionArn.rpartition(":")[2] not in self.started:
            raise LookupError
        document = json.dumps(self.started[executionArn.rpartition(":")[2]])
        return {"status": self.status, "startDate": None, "input": document}

    def run(self, context: DatasetContext) -> None:
        """Do what was started."""
        for document in self.started.values():
            {"load": load, "export": export}[document["task"]](document, context)


@pytest.fixture
def machines() -> Machines:
    return Machines()


def command(harness: Harness, machines: Any, key: str = "k") -> CommandContext:
    """A request of anna."""
    return CommandContext(harness.settings, harness.s3, machines, harness.now, ANNA, key, "because")


def query(harness: Harness) -> QueryContext:
    """A read of anna."""
    return QueryContext(harness.settings, harness.s3, ANNA, harness.now())


def uploaded(harness: Harness, content: bytes = FILE, sub: str = "id-anna") -> str:
    """The key of a file that was uploaded."""
    key = upload_key(UPLOADS_PREFIX, sub, "k", "roads.geojson")
    harness.s3.put_object(Bucket="intake", Key=key, Body=content)
    return key


def test_a_load_is_started_once_and_shown_until_it_has_ended(
    harness: Harness, context: DatasetContext, machines: Machines
) -> None:
    new = NewDataset("shown", uploaded(harness), precision=5)
    asked = start_load(new, command(harness, machines))

    assert start_load(new, command(harness, machines)) == asked
    assert len(machines.started) == 1
    result = queries.load_result("shown", asked.load_id, query(harness), machines)
    assert result.state is LoadState.LOADING
    machines.run(context)
    assert start_load(new, command(harness, machines)) == asked
    result = queries.load_result("shown", asked.load_id, query(harness), machines)
    assert result.state is LoadState.LOADED
    assert (head("shown").title, head("shown").precision) == ("shown", 5)


def test_a_load_that_the_machine_gave_up_has_failed(harness: Harness, machines: Machines) -> None:
    asked = start_load(NewDataset("given-up", uploaded(harness)), command(harness, machines))
    machines.status = "FAILED"

    result = queries.load_result("given-up", asked.load_id, query(harness), machines)

    assert (result.state, "again" in result.message) == (LoadState.FAILED, True)
    for unknown in ("x", load_id_of(b"another")):
        with pytest.raises(NotFound):
            queries.load_result("given-up", unknown, query(harness), machines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "cannot be the name"),
        ({"precision": 13}, "0 to 12 decimals"),
        ({"file": "datasets/other"}, "a file that you have uploaded"),
        ({"file": upload_key(UPLOADS_PREFIX, "id-anna", "other", "f")}, "no file was uploaded"),
        ({"file": upload_key(UPLOADS_PREFIX, "id-bo", "k", "f")}, "a file that you have uploaded"),
    ],
)
def test_a_load_of_something_else_is_refused(
    harness: Harness, machines: Machines, changes: dict[str, Any], message: str
) -> None:
    values = {"name": "refused", "file": uploaded(harness)} | changes

    with pytest.raises(BadRequest, match=message):
        start_load(NewDataset(**values), command(harness, machines))
    assert machines.started == {}


def test_a_name_that_is_taken_is_refused_with_what_to_do(
    harness: Harness, context: DatasetContext, machines: Machines
) -> None:
    make_dataset("taken", [point("1", 0)], context)

    with pytest.raises(InvalidTransition, match="change it with edit jobs, or load the file under"):
        start_load(NewDataset("taken", uploaded(harness)), command(harness, machines))


def exported(
    harness: Harness, context: DatasetContext, machines: Machines, name: str, **wanted: Any
) -> tuple[str, bytes]:
    """The name and the content of an exported file."""
    asked = start_export(name, command(harness, machines, f"{name} {wanted}"), **wanted)
    assert queries.export_result(name, asked.export_id, query(harness), machines).link == ""
    machines.run(context)
    view = queries.export_result(name, asked.export_id, query(harness), machines)
    assert view.result is not None
    assert view.link.startswith("http")
    stored = harness.s3.get_object(Bucket="work", Key=f"exports/{name}/{asked.export_id}.gz")
    content = stored["Body"].read()
    assert len(content) == view.result.size
    return view.result.filename, gzip.decompress(content)


def test_a_revision_an_extent_and_changes_are_exported(
    harness: Harness, context: DatasetContext, machines: Machines
) -> None:
    before = by_id([point("1", 1, name=None), point("2", 50)])
    after = by_id([point("1", 1, name="é"), point("2", 50)])
    make_dataset("exported", before.values(), context)
    commit("exported", 1, changes_to(before, after), origin(), context)
    box = parse_extent({"box": [0, 0, 9, 9]})

    name, content = exported(harness, context, machines, "exported")
    assert name == "exported-2.geojson.gz"
    assert json.loads(content)["features"] == [each.document() for each in [after["2"], after["1"]]]
    name, content = exported(harness, context, machines, "exported", revision=1, extent=box)
    assert name == "exported-1-extent.geojson.gz"
    assert json.loads(content)["features"] == [before["1"].document()]
    name, content = exported(harness, context, machines, "exported", since=1)
    assert name == "exported-changes-1-2.jsonl.gz"
    (line,) = map(json.loads, content.splitlines())
    assert (line["revision"], line["edit_id"], line["op"]) == (2, "e1", "update")
    assert (line["before"], line["after"]) == (before["1"].document(), after["1"].document())


def test_an_export_can_be_loaded_again_and_nothing_has_changed(
    harness: Harness, context: DatasetContext, machines: Machines
) -> None:
    """Source: geogig#115, gdal#1187."""
    features = by_id([point("1", 1.1, name=None), point("01", 2, n=1.5), point("é", 3)])
    make_dataset("first", features.values(), context)
    _, content = exported(harness, context, machines, "first")
    start_load(NewDataset("second", uploaded(harness, content)), command(harness, machines, "l"))
    machines.run(context)

    _, again = exported(harness, context, machines, "second")

    assert again == content


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"revision": 2}, "has the revisions 1 to 1"),
        ({"since": 0}, "has the revisions 1 to 1"),
        ({"since": 1, "extent": parse_extent({"features": ["1"]})}, "not both"),
    ],
)
def test_an_export_of_what_does_not_exist_is_refused(
    harness: Harness, context: DatasetContext, wanted: dict[str, Any], message: str
) -> None:
    name = f"none-{len(wanted)}-{message[0]}-{next(iter(wanted))}"
    make_dataset(name, [point("1", 0)], context)

    with pytest.raises(BadRequest, match=message):
        start_export(name, command(harness, Machines()), **wanted)


def test_title_and_rules_are_set_over_the_version_that_was_seen(
    harness: Harness, context: DatasetContext, machines: Machines
) -> None:
    make_dataset("edited", [point("1", 0)], context)
    rules = [{"rule": "unique", "name": "names", "properties": ["name"]}]

    after = edit("edited", DatasetEdit("Roads", rules, 1), command(harness, machines))

    assert (after.title, after.version, len(after.rules)) == ("Roads", 2, 1)
    assert after.rules_version
    assert edit("edited", DatasetEdit("Roads", rules, 1), command(harness, machines)) == after
    with pytest.raises(StaleState, match="has the version 2, not 1"):
        edit("edited", DatasetEdit("Streets", None, 1), command(harness, machines, "two"))
    with pytest.raises(InvalidRule):
        edit("edited", DatasetEdit(rules=[{"rule": "none"}]), command(harness, machines, "two"))
    with pytest.raises(BadRequest, match="give a title, rules, or both"):
        edit("edited", DatasetEdit(), command(harness, machines, "two"))


def test_commits_changes_and_histories_are_listed_in_pages(
    harness: Harness, context: DatasetContext
) -> None:
    now = by_id(point(str(n), n) for n in range(4))
    make_dataset("listed", now.values(), context)
    for number in range(3):
        changed = {each: point(each, 9 + number, n=number) for each in now}
        commit("listed", number + 1, changes_to(now, changed), CommitOrigin(f"e{number}"), context)
        now = changed
    who = query(harness)

    first, after = queries.list_commits("listed", who, limit=2)
    rest, end = queries.list_commits("listed", who, before=after, limit=2)
    assert ([each.revision for each in (*first, *rest)], end) == ([4, 3, 2], 0)
    page = queries.list_changes("listed", who, since=1, limit=6)
    assert [each.revision for each in page.changes] == [2, 2, 2, 2, 3, 3]
    assert page.changes[0].properties == ("n", "geometry")
    page = queries.list_changes("listed", who, since=page.revision - 1, skip=page.skip, limit=6)
    assert [(each.revision, each.feature_id) for each in page.changes] == [
        *((3, each) for each in "23"),
        *((4, each) for each in "0123"),
    ]
    assert page.revision == 0
    exact = queries.list_changes("listed", who, since=1, until=2, limit=4)
    assert (len(exact.changes), exact.revision) == (4, 0)
    made, after = queries.history("listed", "2", who, limit=2)
    assert ([each.revision for each in made], after) == ([4, 3], 3)
    made, after = queries.history("listed", "2", who, before=after, limit=2)
    assert ([each.revision for each in made], after) == ([2], 0)


def test_features_are_shown_as_many_as_a_response_takes(
    harness: Harness, context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset("many", [point(str(n), n) for n in range(5)], context)
    who = query(harness)
    world = parse_extent({"box": [-180, -90, 180, 90]})

    assert not queries.features_in("many", world, who).is_cut
    assert queries.feature("many", "3", who).properties == {}
    with pytest.raises(NotFound, match="no feature '9' in many at revision 1"):
        queries.feature("many", "9", who)
    monkeypatch.setattr(queries, "MAX_SHOWN_FEATURES", 3)
    found = queries.features_in("many", world, who)
    assert (len(found.features), found.is_cut) == (3, True)
    monkeypatch.setattr(queries, "RESPONSE_BYTES", 10)
    assert queries.features_in("many", world, who).is_cut
    with pytest.raises(BadRequest, match="export it"):
        queries.feature("many", "3", who, max_bytes=10)


def test_pages_of_changes_end_before_they_are_too_large(
    harness: Harness, context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = by_id(point(str(n), n, text="x" * 1_000) for n in range(3))
    make_dataset("heavy", before.values(), context)
    middle = {each: point(each, 0, text="y" * 1_000) for each in before}
    commit("heavy", 1, changes_to(before, middle), origin(1), context)
    commit("heavy", 2, changes_to(middle, before), origin(2), context)
    who = query(harness)

    monkeypatch.setattr(queries, "_PAGE_BYTES", 3_000)
    page = queries.list_changes("heavy", who, since=1, limit=9)
    assert (len(page.changes), page.revision, page.skip) == (2, 2, 2)
    monkeypatch.setattr(queries, "RESPONSE_BYTES", 3_000)
    made, after = queries.history("heavy", "1", who, limit=9)
    assert ([each.revision for each in made], after) == ([3], 3)
    monkeypatch.setattr(queries, "RESPONSE_BYTES", 100)
    made, after = queries.history("heavy", "1", who, limit=9)
    assert ([each.revision for each in made], after) == ([3], 3)
