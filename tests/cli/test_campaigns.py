"""`jobyard campaign check` and `jobyard campaign simulate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import campaigns
from cli.campaigns import app


def run(*words: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(app, [str(each) for each in words], input=typed)


@pytest.mark.parametrize(
    ("text", "verdict", "targets", "code"),
    [
        ("id\na\nb\n", "pass", 2, 0),
        ("id\na\na\n", "warning", 1, 0),
        ("id\na b\n", "error", 0, 1),
        ("", "error", 0, 1),
    ],
)
def test_check_as_json_has_the_verdict(
    tmp_path: Path, text: str, verdict: str, targets: int, code: int
) -> None:
    file = tmp_path / "targets.csv"
    file.write_text(text)

    result = run("check", file, "--json")

    document = json.loads(result.stdout)
    assert list(document) == ["verdict", "targets", "findings"]
    assert (document["verdict"], document["targets"]) == (verdict, targets)
    assert all(
        list(each) == ["level", "code", "line", "column", "message"]
        for each in document["findings"]
    )
    assert result.exit_code == code


def test_check_lists_findings_as_the_check_of_a_manifest_does() -> None:
    result = run("check", "-", typed="id,address\na,x.org\nb,x.org\nc d,\n")

    warning, error, summary = result.stdout.splitlines()
    assert warning.startswith('-:3:3 warning "x.org" is also the address of the target on line 2')
    assert warning.endswith("(ADDRESS_REPEATED)")
    assert error.startswith('-:4:1 error id "c d": up to 128 letters')
    assert summary == "-: no campaign can be started: 1 error, 1 warning"
    assert result.exit_code == 1


def test_check_says_how_many_tasks_there_will_be() -> None:
    result = run("check", "-", typed='{"id": "a"}\n{"id": "b"}\n')

    assert result.stdout == "-: 2 tasks will be created: no errors or warnings\n"
    assert result.exit_code == 0


def test_a_file_that_cannot_be_read_exits_with_2(tmp_path: Path) -> None:
    result = run("check", tmp_path / "gone.csv")

    assert "gone.csv cannot be read: No such file or directory" in result.stderr
    assert result.exit_code == 2


CREATED = "2026-11-25T10:00:00Z"
CAMPAIGN = {
    "created_at": CREATED,
    "campaign": {"kind": "fire_and_forget"},
    "targets": [{"id": "A", "outcomes": [{"takes_s": 60, "result": "succeeded"}]}],
}


def test_simulate_as_json_has_the_timeline() -> None:
    result = run("simulate", "-", "--json", typed=json.dumps(CAMPAIGN))

    ended_at = "2026-11-25T10:01:00Z"
    attempt = {"started_at": CREATED, "ended_at": ended_at, "result": "succeeded", "code": ""}
    assert json.loads(result.stdout) == {
        "state": "succeeded",
        "ended_at": ended_at,
        "history": [{"at": CREATED, "state": "running"}, {"at": ended_at, "state": "succeeded"}],
        "tasks": [{"id": "A", "state": "succeeded", "code": "", "attempts": [attempt]}],
    }
    assert result.exit_code == 0


@pytest.mark.parametrize("option", [[], ["--text"]])
def test_simulate_draws_the_timeline(option: list[str]) -> None:
    result = run("simulate", "-", *option, typed=json.dumps(CAMPAIGN))

    assert result.stdout.startswith("At once, for 30 minutes\nSucceeded at 2026-11-25 02:01:00 ")
    assert "\nA       ===" in result.stdout
    assert result.exit_code == 0


def test_simulate_shows_what_does_not_count() -> None:
    value = CAMPAIGN | {"campaign": {"kind": "fire_and_forget", "window": {}}}

    text = run("simulate", "-", typed=json.dumps(value)).stdout
    document = json.loads(run("simulate", "-", "--json", typed=json.dumps(value)).stdout)

    assert text.endswith("\nwarning window: a campaign at once ignores it\n")
    assert document["warnings"] == ["window: a campaign at once ignores it"]


def test_a_campaign_that_is_refused_has_findings_by_field() -> None:
    value = json.dumps(CAMPAIGN | {"targets": [], "campaign": {"kind": "later"}})

    document = run("simulate", "-", "--json", typed=value)
    listing = run("simulate", "-", typed=value)

    first, second = json.loads(document.stdout)["findings"]
    assert first == {
        "level": "error",
        "code": "FIELD_INVALID",
        "line": None,
        "column": None,
        "message": "targets: at least one target",
        "field": "targets",
    }
    assert second["field"] == "campaign.kind"
    assert listing.stdout.splitlines()[0] == "- error targets: at least one target (FIELD_INVALID)"
    assert listing.stdout.splitlines()[-1] == "-: no campaign can be started: 2 errors"
    assert document.exit_code == listing.exit_code == 1


@pytest.mark.parametrize(
    ("data", "code", "line", "column"),
    [
        (b'{"targets": [],\n  "created_at" 1}', "JSON_BAD", 2, 16),
        (b'{\n"acts": [], "acts": []}', "FIELD_REPEATED", 2, 13),
        (b'\xef\xbb\xbf{\n"targets": [\n{"takes_s": NaN}]}', "JSON_BAD", 3, 13),
        (b"[]", "JSON_BAD", 1, 1),
        (b"", "JSON_BAD", 1, 1),
        (b"{}\n x", "JSON_BAD", 2, 2),
        (b'{"a":' * 100_000, "JSON_BAD", 1, 1),
        (b'{\n"acts": "\xff"}', "INVALID_UTF8", 2, 10),
        ('{"acts": 1}'.encode("utf-16"), "INVALID_UTF8", 1, 1),
    ],
)
def test_invalid_json_is_found_by_line_and_column(
    tmp_path: Path, data: bytes, code: str, line: int, column: int | None
) -> None:
    file = tmp_path / "campaign.json"
    file.write_bytes(data)

    result = run("simulate", file, "--json")

    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["code"], finding["line"], finding["column"]) == (code, line, column)
    assert result.exit_code == 1


def test_an_input_that_cannot_be_read_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large.json"
    large.write_text(json.dumps(CAMPAIGN))
    monkeypatch.setattr(campaigns, "MAX_INPUT_BYTES", 10)

    gone, too_large = run("simulate", tmp_path / "gone.json"), run("simulate", large)

    assert gone.exit_code == too_large.exit_code == 2
    assert "gone.json cannot be read: No such file or directory" in gone.stderr
    assert "large.json cannot be read: it is larger than 10 bytes" in too_large.stderr


def test_one_form_of_a_simulation_excludes_the_other() -> None:
    result = run("simulate", "-", "--json", "--text", typed="{}")

    assert result.exit_code == 2
    assert "it excludes --text" in result.stderr
