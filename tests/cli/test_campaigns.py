"""`jobyard campaign check` and `jobyard campaign simulate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

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
