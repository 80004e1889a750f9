"""A load makes a dataset of a whole file, or nothing."""

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.load import DatasetFile, LoadRequest, LoadResult, LoadState
from jobyard.services.datasets import files
from jobyard.services.datasets import load as loading
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.load import load
from jobyard.services.datasets.readers import all_features, features_at, features_in, head
from jobyard.store import datasets
from tests.harness import Harness
from tests.services.datasets.crashes import Died, DyingAt

pytestmark = pytest.mark.emulator
COUNTIES = Path(ROOT, "examples/datasets/counties.geojson.gz")
EUROPE = parse_extent({"box": [-10, 36, 30, 70]})
ALEUTIANS = parse_extent({"box": [170, 50, -170, 60]})


def geojson(*features: dict[str, Any]) -> bytes:
    """A file."""
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def dot(feature_id: str, **members: Any) -> dict[str, Any]:
    """A feature."""
    geometry = {"type": "Point", "coordinates": [1, 2]}
    members = {"geometry": geometry, "properties": {"a": None}} | members
    return {"type": "Feature", "id": feature_id, **members}


COMPRESSED = gzip.compress(geojson(dot("1")), mtime=0)


def request_of(
    name: str, content: bytes, context: DatasetContext, load_id: str = "l1"
) -> LoadRequest:
    """The request to load an uploaded file."""
    key = f"datasets/{name}"
    put = context.s3.put_object(Bucket="intake", Key=key, Body=content)
    file = DatasetFile(key, put["VersionId"], len(content))
    return LoadRequest(load_id, name, "Title", file, "anna", "id-anna", context.now())


def load_file(
    name: str, content: bytes, context: DatasetContext, load_id: str = "l1"
) -> LoadResult:
    """Load a file, as the machine does; returns the stored result."""
    request = request_of(name, content, context, load_id)
    state = load(json.loads(json.dumps(request.document())), context)
    result = stored_result(request, context)
    assert state == {"state": result.state.value}
    return result


def stored_result(request: LoadRequest, context: DatasetContext) -> LoadResult:
    key = files.load_key(request.name, request.load_id)
    return LoadResult.of_document(json.loads(files.read(key, context)))


def test_the_counties_are_loaded_and_alaska_is_not_in_europe(context: DatasetContext) -> None:
    result = load_file("counties", COUNTIES.read_bytes(), context)

    assert (result.state, result.features, result.errors) == (LoadState.LOADED, 3231, 0)
    assert result.warnings > 20
    dataset = head("counties")
    assert (dataset.features, dataset.revision, dataset.title) == (3231, 1, "Title")
    assert (dataset.created_by, dataset.precision) == ("anna", 7)
    assert len(dataset.boxes) == 2  # the Aleutians are on both sides of the antimeridian
    assert [*features_in(dataset, 1, EUROPE, context)] == []
    aleutians = [each.feature_id for each in features_in(dataset, 1, ALEUTIANS, context)]
    assert aleutians == ["02016"]
    found = features_at(dataset, 1, ["06001", "6001"], context)
    assert [each.properties["name"] for each in found.values()] == ["Alameda"]
    assert sum(1 for _ in all_features(dataset, 1, context)) == 3231


def test_a_file_with_an_error_makes_nothing(context: DatasetContext) -> None:
    content = geojson(
        dot("1"), dot("1"), dot("2", geometry={"type": "Point", "coordinates": [200, 0]})
    )

    result = load_file("errors", content, context)

    assert (result.state, result.errors) == (LoadState.REFUSED, 2)
    assert result.message == "the file has 2 errors"
    assert [(each["code"], each["line"], each["feature_id"]) for each in result.findings] == [
        ("ID_REPEATED", 1, "1"),
        ("POSITION_BAD", 1, "2"),
    ]
    assert result.findings[0]["column"] > 1
    assert datasets.find("errors") is None
    listed = context.s3.list_objects_v2(Bucket="work", Prefix="datasets/errors/")
    assert [each["Key"] for each in listed["Contents"]] == ["datasets/errors/loads/l1.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COMPRESSED[:-9], "the file cannot be read: it is compressed"),
        (COMPRESSED[:30] + b"x" * 30, "the file cannot be read"),
        (b"", "the file has 1 error"),
        (geojson(dot("1", geometry=None)).decode().encode("utf-16"), "the file has 1 error"),
    ],
    ids=["cut off", "damaged", "empty", "UTF-16"],
)
def test_a_file_that_cannot_be_read_is_refused(
    context: DatasetContext, content: bytes, message: str
) -> None:
    result = load_file("unreadable", content, context)

    assert result.state is LoadState.REFUSED
    assert result.message.startswith(message)
    assert datasets.find("unreadable") is None


def test_a_file_that_was_removed_is_refused(context: DatasetContext) -> None:
    request = request_of("removed", geojson(dot("1")), context)
    file = request.file
    context.s3.delete_object(Bucket="intake", Key=file.key, VersionId=file.version_id)

    load(request.document(), context)

    assert "was removed" in stored_result(request, context).message


def test_features_have_up_to_a_number_of_bytes(
    context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "FEATURES_BYTES", 300)

    assert load_file("small", geojson(dot("1"), dot("2")), context).state is LoadState.LOADED
    result = load_file("large", geojson(*(dot(str(n)) for n in range(9))), context)
    assert (result.state, "divide the file" in result.message) == (LoadState.REFUSED, True)


def test_a_small_file_may_not_become_a_large_one(
    context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CONTENT_BYTES", 3 * 1024**2)
    bomb = gzip.compress(b" " * 5 * 1024**2 + geojson(dot("1")), mtime=0)

    result = load_file("bomb", bomb, context)

    assert (result.state, "decompressed" in result.message) == (LoadState.REFUSED, True)


def test_a_name_is_loaded_once_and_the_refusal_says_what_to_do(context: DatasetContext) -> None:
    load_file("once", geojson(dot("1")), context, "l1")

    result = load_file("once", geojson(dot("1"), dot("2")), context, "l2")

    assert result.state is LoadState.REFUSED
    assert "change it with edit jobs, or load the file under another name" in result.message
    assert head("once").features == 1


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_load_whose_worker_dies_is_finished_by_its_repeat(
    harness: Harness, context: DatasetContext, is_sent: bool
) -> None:
    content = geojson(*(dot(str(n)) for n in range(3)))
    for number in range(99):
        request = request_of(f"dies-{number}", content, context)
        dying = DyingAt(number, is_sent=is_sent)
        with harness.interceptor.listening(dying), suppress(Died):
            load(request.document(), context)
        dataset = datasets.find(request.name)
        if dataset is not None:
            assert sum(1 for _ in all_features(dataset, 1, context)) == 3

        assert load(request.document(), context) == {"state": "loaded"}

        assert sum(1 for _ in all_features(head(request.name), 1, context)) == 3
        assert stored_result(request, context).state is LoadState.LOADED
        if len(dying.calls) <= number:
            break
    assert dying.calls[-2:] == ["PutObject", "TransactWriteItems"]
