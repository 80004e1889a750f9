"""`jobyard dataset` and `jobyard edit merge`, which need no stack."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.local.emulator import ROOT
from cli.main import app


def feature(feature_id: Any, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    """A feature as GeoJSON."""
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": properties}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, *features: Any) -> str:
    """Write a collection; its name."""
    (folder / name).write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return name


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and the output of a command."""
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_check_reports_at_line_column_and_feature(folder: Path) -> None:
    file = write(folder, "a.json", feature(1), feature(2, {"type": "Point", "coordinates": [1]}))

    code, output = run("dataset", "check", file, "--json")

    found = json.loads(output)
    assert (code, found["verdict"], found["features"]) == (1, "error", 1)
    assert [(each["code"], each["line"], each["feature_id"]) for each in found["findings"]] == [
        ("POSITION_BAD", 1, "2")
    ]
    assert "it cannot be loaded: 1 error" in run("dataset", "check", file)[1]


def test_check_passes_with_warnings(folder: Path) -> None:
    file = write(folder, "a.json", feature(None))

    code, output = run("dataset", "check", file, "--json")

    assert (code, json.loads(output)["verdict"]) == (0, "warning")
    assert "1 feature can be loaded: 1 warning" in run("dataset", "check", file)[1]


def test_the_example_is_read_from_gzip_with_its_real_faults() -> None:
    code, output = run(
        "dataset", "check", str(ROOT / "examples/datasets/counties.geojson.gz"), "--json"
    )

    found = json.loads(output)
    counts = Counter(each["code"] for each in found["findings"])
    assert (code, found["verdict"], found["features"]) == (0, "warning", 3_231)
    assert counts == {"RING_WOUND": 21, "RING_DEGENERATE": 22, "RING_CROSSES": 21}


def test_damaged_gzip_cannot_be_read(folder: Path) -> None:
    whole = gzip.compress(json.dumps({"type": "FeatureCollection", "features": []}).encode())
    (folder / "cut.gz").write_bytes(whole[:-10])

    assert run("dataset", "check", "cut.gz")[0] == 2
    assert run("dataset", "diff", "cut.gz", "cut.gz")[0] == 2


def test_diff_shows_changes_and_dropped_heights(folder: Path) -> None:
    high, flat = ({"type": "Point", "coordinates": each} for each in ([1, 2, 3], [1, 2]))
    before = write(folder, "a.json", feature(1, high, a=1), feature(2))
    after = write(folder, "b.json", feature(1, flat, a=1.0))

    code, output = run("dataset", "diff", before, after, "--json")

    found = json.loads(output)
    assert code == 0
    assert found["changes"] == [
        {"id": "1", "op": "update", "properties": ["geometry"]},
        {"id": "2", "op": "delete", "properties": []},
    ]
    assert [each["code"] for each in found["findings"]] == ["HEIGHTS_DROPPED"]
    assert run("dataset", "diff", before, after)[1].splitlines() == [
        "update 1: geometry",
        "delete 2",
        "warning 1: its positions had heights, and have none now",
        "2 changes",
    ]


def test_a_file_with_errors_is_not_compared(folder: Path) -> None:
    (folder / "bad.json").write_text("[]")
    good = write(folder, "a.json")

    code, output = run("dataset", "diff", good, "bad.json")

    assert code == 2
    assert "bad.json: it cannot be compared: 1 error" in output
    assert run("dataset", "diff", good, "missing.json")[0] == 2


def test_merge_writes_the_result(folder: Path) -> None:
    base = write(folder, "base.json", feature(1, a=1, b=1))
    mine = write(folder, "mine.json", feature(1, a=2, b=1), feature("new"))
    theirs = write(folder, "theirs.json", feature(1, a=1, b=2))
    files = ("--base", base, "--mine", mine, "--theirs", theirs)

    code, output = run("edit", "merge", *files, "--json", "--out", "merged.json")

    assert code == 0
    assert json.loads(output)["changes"] == [
        {"id": "1", "op": "update", "properties": ["a"]},
        {"id": "new", "op": "insert", "properties": []},
    ]
    merged = json.loads((folder / "merged.json").read_text())
    assert merged["features"] == [feature("1", a=2, b=2), feature("new")]
    assert run("dataset", "check", "merged.json")[0] == 0


def test_merge_shows_conflicts_and_writes_nothing(folder: Path) -> None:
    base = write(folder, "base.json", feature(1, a=1), feature(2, a=1))
    mine = write(folder, "mine.json", feature(1, a=2), feature(2, a=1))
    theirs = write(folder, "theirs.json", feature(2, a=1), feature(3))
    files = ("--base", base, "--mine", mine, "--theirs", theirs)

    code, output = run("edit", "merge", *files, "--json", "--out", "merged.json")

    assert code == 1
    assert json.loads(output)["conflicts"] == [
        {"id": "1", "kind": "update_delete", "properties": ["a"]}
    ]
    assert not (folder / "merged.json").exists()
    assert run("edit", "merge", *files)[1].splitlines() == [
        "conflict 1: update here, delete there (a)",
        "0 changes, 1 conflict, 0 the same",
    ]


def test_merge_renumbers_and_takes_the_latest_value_on_request(folder: Path) -> None:
    base = write(folder, "base.json", feature(1, a=1))
    mine = write(folder, "mine.json", feature(1, a=2), feature(2, a=1))
    theirs = write(folder, "theirs.json", feature(1, a=3), feature(2, a=2))
    files = ("--base", base, "--mine", mine, "--theirs", theirs)

    code, output = run("edit", "merge", *files, "--latest", "a", "--json")
    assert (code, json.loads(output)["conflicts"]) == (0, [])

    code, output = run("edit", "merge", *files, "--renumber", "--latest", "a")
    assert code == 0
    assert "renumbered 2: 3" in output
    assert "resolved 1: a is mine, 2, instead of 3" in output


RULES = [
    {"rule": "unique", "properties": ["code"]},
    {"rule": "geometry", "required": True},
]


def test_check_applies_rules_and_gives_the_line_of_a_feature_that_breaks_one(folder: Path) -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    file = write(folder, "a.json", feature(1, point, code=7), feature(2, code=7.0))
    (folder / "rules.json").write_text(json.dumps(RULES))

    code, output = run("dataset", "check", file, "--rules", "rules.json", "--json")

    found = json.loads(output)
    assert (code, found["verdict"], found["features"]) == (1, "error", 2)
    assert [(each["code"], each["line"], each["feature_id"]) for each in found["findings"]] == [
        ("GEOMETRY_MISSING", 1, "2"),
        ("VALUE_REPEATED", 1, "1"),
    ]
    assert (
        "2 features can be loaded, and rules are broken: 2 errors"
        in run("dataset", "check", file, "--rules", "rules.json")[1]
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('[{"rule": "unique"}]', "rules[0].properties: at least one property"),
        ('[{"rule": "geometry", "rule": "unique"}]', "the key 'rule' twice"),
        ('{"rule": "geometry"', "not JSON"),
        (" " * 131_073, "larger than 131,072 bytes"),
        ('[{"rule": "schema", "schema": {"$ref": "http://x"}}]', "no other document is read"),
    ],
)
def test_check_refuses_rules_that_are_none(folder: Path, rules: str, message: str) -> None:
    file = write(folder, "a.json", feature(1))
    (folder / "rules.json").write_text(rules)

    code, output = run("dataset", "check", file, "--rules", "rules.json")

    assert code == 2
    assert message in " ".join(output.split())


@pytest.mark.turns(3)
def test_the_example_breaks_its_rules_where_two_pairs_overlap() -> None:
    folder = ROOT / "examples/datasets"

    code, output = run(
        *("dataset", "check", str(folder / "counties.geojson.gz")),
        *("--rules", str(folder / "rules.json"), "--json"),
    )

    findings = json.loads(output)["findings"]
    overlaps = [each["feature_id"] for each in findings if each["code"] == "OVERLAP"]
    assert (code, overlaps) == (1, ["06077", "22073"])
