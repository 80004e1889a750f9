"""`jobyard dataset` with a stack: load, list, show, export."""

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.fake_api import NOW, FakeApi, Run

LOAD = "/datasets/roads/loads/l1"
EXPORT = "/datasets/roads/exports/o1"
FEATURES = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "id": "1", "geometry": None, "properties": {}}],
}


def a_load(state: str, **changes: Any) -> dict[str, Any]:
    """A load as the API shows it."""
    found = {"load_id": "l1", "state": state, "message": "", "features": 0, "errors": 0}
    return found | {"warnings": 0, "findings": [], "links": {}} | changes


def a_dataset(**changes: Any) -> dict[str, Any]:
    """A dataset as the API shows it."""
    return {
        "name": "roads",
        "title": "All roads",
        "revision": 3,
        "features": 1_200,
        "created_at": NOW,
        "created_by": "anna",
        "rules": [],
        **changes,
    }


@pytest.fixture
def uploading(api: FakeApi) -> list[bytes]:
    """What was uploaded."""
    sent: list[bytes] = []

    def upload(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(204, request=request)

    form = {"url": "https://api.example.org/s3", "fields": {"key": "k"}, "expires_at": NOW}
    api.answers("POST /datasets/uploads", {"file": "k", "upload": form})
    api.answers("POST /s3", upload)  # type: ignore[arg-type]
    api.answers("POST /datasets", a_load("loading"))
    return sent


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_load_checks_uploads_and_waits(
    tmp_path: Path, api: FakeApi, run: Run, uploading: list[bytes], compress: Any
) -> None:
    content = compress(json.dumps(FEATURES).encode())
    file = tmp_path / "roads.geojson"
    file.write_bytes(content)
    api.answers(f"GET {LOAD}", a_load("loading"), a_load("loaded", features=1))

    result = run("dataset", "load", "roads", str(file), "--title", "Roads", "--precision", "5")

    assert result.stdout == "loaded 1 feature as roads\n"
    assert content in uploading[0]
    bodies = {each.url.path: each.content for each in api.requests if each.method == "POST"}
    assert json.loads(bodies["/api/datasets/uploads"]) == {"filename": "roads.geojson"}
    assert json.loads(bodies["/api/datasets"]) == {
        "name": "roads",
        "file": "k",
        "title": "Roads",
        "precision": 5,
        "missing_is_null": False,
    }
    assert api.paused == [1.0]


def test_a_file_with_errors_is_not_sent(tmp_path: Path, api: FakeApi, run: Run) -> None:
    file = tmp_path / "roads.geojson"
    file.write_text('{"type": "FeatureCollection", "features": [1, 2]}')

    result = run("dataset", "load", "roads", str(file))

    assert (result.exit_code, api.calls()) == (1, [])
    assert "roads.geojson:1:44 error" in result.stderr
    assert "it is not sent: 2 errors" in result.stderr
    file.write_bytes(gzip.compress(b"{}")[:-3])
    assert run("dataset", "load", "roads", str(file)).exit_code == 2


@pytest.mark.usefixtures("uploading")
def test_a_load_is_awaited_for_an_hour(
    tmp_path: Path, api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.dataset_requests._MAX_POLLS", 3)
    file = tmp_path / "roads.geojson"
    file.write_text(json.dumps(FEATURES))
    api.answers(f"GET {LOAD}", a_load("loading"))

    result = run("dataset", "load", "roads", str(file))

    assert (result.exit_code, len(api.paused)) == (1, 3)
    assert "still loading after an hour" in result.stderr


@pytest.mark.usefixtures("uploading")
def test_a_refused_load_exits_with_1(tmp_path: Path, api: FakeApi, run: Run) -> None:
    file = tmp_path / "roads.geojson"
    file.write_text(json.dumps(FEATURES))
    api.answers(f"GET {LOAD}", a_load("refused", message="there is a dataset roads already"))

    result = run("dataset", "load", "roads", str(file))

    assert result.exit_code == 1
    assert "there is a dataset roads already" in result.stderr


def test_datasets_commits_and_changes_are_listed(api: FakeApi, run: Run) -> None:
    api.answers("GET /datasets", {"items": [a_dataset()], "next_cursor": None})
    api.answers("GET /datasets/roads", a_dataset())
    commit = {
        "revision": 3, "at": NOW, "inserted": 1, "updated": 20, "deleted": 3,
        "authors": ["anna", "bo"], "edit_id": "e1", "comment": "bridges",
    }  # fmt: skip
    api.answers("GET /datasets/roads/commits", {"items": [commit], "next_cursor": None})
    change = {
        "revision": 3, "op": "update", "id": "7", "properties": ["name"], "edit_id": "e1"
    }  # fmt: skip
    api.answers("GET /datasets/roads/changes", {"items": [change], "next_cursor": None})

    assert "roads    All roads  3         1,200" in run("dataset", "list").stdout
    shown = run("dataset", "show", "roads").stdout
    assert "roads, All roads: revision 3, 1,200 features, 0 rules" in shown
    assert "+1 ~20 -3" in shown
    assert "anna, bo" in shown
    assert "update" in run("dataset", "changes", "roads", "--since", "2").stdout
    assert api.calls()[-1] == "GET /datasets/roads/changes?since=2&limit=100"


def test_the_history_of_a_feature_shows_values(api: FakeApi, run: Run) -> None:
    before = {"geometry": None, "properties": {"name": "A", "old": None}}
    after = {"geometry": {"type": "Point"}, "properties": {"name": "B", "new": 1}}
    changes = [
        {
            "revision": 3,
            "at": NOW,
            "op": "update",
            "authors": ["anna"],
            "before": before,
            "after": after,
            "is_cut": False,
        },
        {
            "revision": 2,
            "at": NOW,
            "op": "insert",
            "authors": ["bo"],
            "before": None,
            "after": before,
            "is_cut": False,
        },
        {
            "revision": 5,
            "at": NOW,
            "op": "delete",
            "authors": ["bo"],
            "before": None,
            "after": None,
            "is_cut": True,
        },
    ]
    pages = [
        {"items": [each], "next_cursor": cursor}
        for each, cursor in zip(changes, ["c", "d", None], strict=True)
    ]
    api.answers("GET /datasets/roads/history", *pages)

    shown = run("dataset", "history", "roads", "a/b").stdout

    assert 'name: "A" → "B"; new: none → 1; old: null → none; geometry' in shown
    assert 'name: none → "A"; old: none → null' in shown
    assert "too large: export --since 4" in shown
    assert api.calls()[1] == "GET /datasets/roads/history?id=a%2Fb&cursor=c&limit=5"


def test_export_waits_and_stores_the_file(tmp_path: Path, api: FakeApi, run: Run) -> None:
    ready = {
        "export_id": "o1", "state": "ready", "filename": "roads-3.geojson.gz", "count": 2,
        "size": 3, "url": "https://api.example.org/s3",
    }  # fmt: skip
    api.answers("POST /datasets/roads/exports", {"export_id": "o1", "state": "exporting"})
    api.answers(f"GET {EXPORT}", {"export_id": "o1", "state": "exporting"}, ready)
    api.answers("GET /s3", httpx.Response(200, content=b"abc"))
    target = tmp_path / "out.gz"
    box = '{"box": [0, 0, 1, 1]}'

    result = run("dataset", "export", "roads", "--out", str(target), "--extent", box)

    assert result.stdout.startswith("2 features in ")
    assert target.read_bytes() == b"abc"
    assert api.bodies("POST") == [{"extent": {"box": [0, 0, 1, 1]}}]
    wrong = run("dataset", "export", "roads", "--extent", '{"box": [0, 9, 1, 1]}')
    assert (wrong.exit_code, "above its north" in wrong.stderr) == (2, True)


def test_an_export_that_failed_exits_with_1(api: FakeApi, run: Run) -> None:
    api.answers("POST /datasets/roads/exports", {"export_id": "o1", "state": "exporting"})
    api.answers(f"GET {EXPORT}", {"export_id": "o1", "state": "failed"})

    result = run("dataset", "export", "roads", "--since", "1")

    assert (result.exit_code, "try again" in result.stderr) == (1, True)


def test_rules_are_printed_and_replaced_by_those_of_a_file(
    tmp_path: Path, api: FakeApi, run: Run
) -> None:
    file = tmp_path / "rules.json"
    wanted = [{"rule": "unique", "properties": ["name"]}]
    file.write_text(json.dumps(wanted))
    api.answers("GET /datasets/roads", a_dataset(rules=[{"rule": "geometry"}]))
    api.answers("PUT /datasets/roads", a_dataset(rules=wanted))

    printed = run("dataset", "rules", "roads")
    replaced = run("dataset", "rules", "roads", str(file), "--reason", "names are keys")

    assert json.loads(printed.stdout) == [{"rule": "geometry"}]
    assert replaced.stdout == "roads has 1 rule\n"
    sent = json.loads(api.requests[-1].content)
    assert sent == {"rules": wanted, "reason": "names are keys"}


def test_rules_are_not_replaced_without_a_reason(tmp_path: Path, api: FakeApi, run: Run) -> None:
    file = tmp_path / "rules.json"
    file.write_text("[]")

    result = run("dataset", "rules", "roads", str(file))

    assert (result.exit_code, "--reason" in result.output) == (2, True)
    assert not api.requests


def test_rules_that_cannot_be_applied_are_not_sent(tmp_path: Path, api: FakeApi, run: Run) -> None:
    file = tmp_path / "rules.json"
    file.write_text('[{"rule": "schema", "schema": {"type": "nothing"}}]')

    result = run("dataset", "rules", "roads", str(file), "--reason", "so")

    assert result.exit_code == 2
    assert "rules[0].schema: /type: it is one of" in result.stderr
    assert not api.requests
