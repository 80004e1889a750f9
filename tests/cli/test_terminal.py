"""Unusual terminals and hostile text give readable output, never a traceback."""

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from cli import options, terminal
from tests.cli.conftest import RunOnTerminal
from tests.cli.fake_api import BATCH, JOB, URL, FakeApi, Run, batch, job

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\u202ec\x9bd\r\nJobs: 100 succeeded\udce9"
MADE = {"batch_id": BATCH, "state": "pending", "upload": {"url": f"{URL}/intake", "fields": {}}}
PROGRAM = f"{shlex.quote(sys.executable)} -c 'from cli.main import app; app()'"
TERMINALS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "narrow": {"COLUMNS": "30", "NO_COLOR": "1"},
}


def shell(words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell command in which $jobyard is the CLI."""
    return subprocess.run(
        ["bash", "-c", words],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), "jobyard": PROGRAM}
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def output_of(done: subprocess.CompletedProcess[bytes]) -> bytes:
    """The output, which must not be a traceback."""
    output = done.stdout + done.stderr
    assert b"Traceback" not in output, output.decode(errors="replace")
    assert b"Exception ignored" not in output, output.decode(errors="replace")
    return output


@pytest.fixture
def non_utf8_folder(tmp_path: Path) -> Path:
    """A folder with files whose names are not UTF-8."""
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        for name in (b"caf\xe9.csv", b"caf\xe9.txt"):
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    return folder


def test_a_name_that_is_not_utf8_is_refused_with_a_message(
    non_utf8_folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(non_utf8_folder)
    made = run("manifest", "make", ".", "--base-url", "https://files.example.org/f")
    sent = run("submit", os.fsdecode(b"caf\xe9.csv"), "--no-mail")
    checked = run("manifest", "check", os.fsdecode(b"caf\xe9.csv"))
    based = run("manifest", "make", ".", "--base-url", os.fsdecode(b"https://x/\xe9"))
    missing = run("submit", os.fsdecode(b"\xff.csv"))

    assert made.exit_code == 1
    faults = (r"caf\xe9.csv is not UTF-8", r"caf\xe9.txt is not UTF-8")
    assert made.stderr.splitlines()[:-1] == [*faults]
    assert sent.exit_code == 2
    assert r"caf\xe9.csv: its name is not UTF-8" in " ".join(sent.stderr.split())
    assert r"caf\xe9.csv" in checked.stdout
    assert checked.exit_code == 1
    assert (based.exit_code, r"https://x/\xe9" in based.stderr) == (1, True)
    assert (missing.exit_code, r"\xff.csv" in missing.stderr) == (2, True)


def test_a_file_whose_name_is_not_utf8_needs_another_name(
    non_utf8_folder: Path, run: Run, api: FakeApi
) -> None:
    api.answers("POST /batches", MADE)
    api.answers("POST /intake", httpx.Response(204))

    done = run(
        "submit", str(non_utf8_folder / os.fsdecode(b"caf\xe9.csv")), "--filename", "cafe.csv"
    )

    assert done.exit_code == 0
    assert json.loads(api.requests[0].content)["filename"] == "cafe.csv"
    assert b"x\n" in api.requests[1].content


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("#%checkm_0.7\n", "manifest.checkm"),
        ("\ufeffurl,name\nhttps://x/a,a\n", "manifest.csv"),
        ('{"url": "https://x/a"}\n', "manifest.jsonl"),
    ],
)
def test_a_manifest_may_come_through_a_pipe(
    content: str, name: str, run: Run, api: FakeApi, tmp_path: Path
) -> None:
    api.answers("POST /batches", MADE)
    # The first upload fails: the content of the pipe must be available again.
    api.answers("POST /intake", httpx.WriteError("broken"), httpx.Response(204))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", 'printf %s "$1" > "$2"', "sh", content, str(pipe)])

    done = [run("submit", "-", typed=content), run("submit", str(pipe))]
    writer.wait()

    assert [each.exit_code for each in done] == [0, 0], [each.stderr for each in done]
    submissions = [each for each in api.requests if each.url.path.endswith("/batches")]
    assert [json.loads(each.content)["filename"] for each in submissions] == [name, name]
    sent = [each for each in api.requests if each.url.path.endswith("/intake")]
    assert len(sent) >= 3
    assert all(content.encode() in each.content for each in sent)


def test_an_empty_pipe_and_a_folder_are_usage_errors(run: Run, tmp_path: Path) -> None:
    empty, folder = run("submit", "-", typed=""), run("submit", str(tmp_path))

    assert (empty.exit_code, "standard input is empty" in empty.stderr) == (2, True)
    assert (folder.exit_code, "directory" in folder.stderr) == (2, True)


def test_mail_and_no_mail_at_once_are_refused(run: Run, tmp_path: Path, api: FakeApi) -> None:
    (tmp_path / "m.csv").write_text("x\n")

    done = run("submit", str(tmp_path / "m.csv"), "--no-mail", "--notify", "me@example.org")

    assert (done.exit_code, "--no-mail" in done.stderr) == (2, True)
    assert api.requests == []


@pytest.mark.turns(2)
@pytest.mark.parametrize("name", TERMINALS)
def test_unusual_terminals_cause_no_traceback(name: str, non_utf8_folder: Path) -> None:
    names = "'caf\u00e9 \u65e5\u672c.csv'"
    shown = output_of(
        shell(
            f"eval $jobyard lifecycle job; "
            f"eval $jobyard schedule preview --kind daily --at 9:00 --zone Europe/Paris; "
            f'eval $jobyard manifest check "{names}"; '
            f"eval $jobyard manifest make . --base-url https://x/y",
            non_utf8_folder,
            **TERMINALS[name],
        )
    )

    assert b"running" in shown
    assert b"09:00:00" in shown


@pytest.mark.turns(3)
@pytest.mark.parametrize("ending", ["| head -1", ">&-", ">&- 2>&- <&-"])
def test_closed_streams_and_pipes_cause_no_traceback(ending: str, tmp_path: Path) -> None:
    output_of(
        shell(
            f"eval $jobyard lifecycle job --json {ending}; eval $jobyard lifecycle job {ending}",
            tmp_path,
        )
    )


def test_api_answers_cannot_control_the_terminal(
    api: FakeApi, run: Run, run_on_terminal: RunOnTerminal
) -> None:
    evil = batch(filename=HOSTILE, note=HOSTILE, failure_message=HOSTILE, submitter=HOSTILE)
    api.answers("GET /batches", _answer({"items": [evil], "next_cursor": None}))
    api.answers(f"GET /batches/{BATCH}", _answer(evil))
    found = job(name=HOSTILE, result={"headers": {"x": HOSTILE}})
    api.answers(f"GET /jobs/{JOB}", _answer(found))

    shown = [
        *(run_on_terminal(width, *words) for width in (30, 200) for words in _reading_commands()),
        *(run(*words).stdout for words in _reading_commands()),
        *(run(*words, "--json").stdout for words in _reading_commands()),
    ]

    for text in shown:
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\r", "\udce9"}
        assert "owned" in text
        assert not any(line.startswith("Jobs: 100") for line in text.splitlines())
    assert json.loads(run("job", JOB, "--json").stdout) == found


def _answer(document: Any, status: int = 200) -> httpx.Response:
    """An answer in ASCII, because JSON can contain what UTF-8 cannot."""
    return httpx.Response(status, content=json.dumps(document))


def _reading_commands() -> list[tuple[str, ...]]:
    return [("batches",), ("batch", BATCH), ("job", JOB)]


def test_json_output_is_valid_whatever_the_api_returns(api: FakeApi, run: Run) -> None:
    document = batch(note="\x1b\u202e é 日本 \U0001f600")
    api.answers(f"GET /batches/{BATCH}", document)

    assert json.loads(run("batch", BATCH, "--json").stdout) == document


def test_error_messages_cannot_control_the_terminal(api: FakeApi, run: Run) -> None:
    api.answers(f"GET /batches/{BATCH}", _answer({"detail": HOSTILE}, 404))

    refused = run("batch", BATCH)

    assert refused.exit_code == 1
    assert not set(refused.stderr) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "FILE"),
        ("manifest", "check", "FILE"),
        ("schedule", "preview", "--rule", "@FILE"),
        ("batches", "--state", "FILE"),
        ("job", "FILE"),
    ],
    ids=" ".join,
)
def test_invalid_arguments_cannot_control_the_terminal(
    words: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    wrong = run(*(word.replace("FILE", f"{tmp_path}/{HOSTILE}") for word in words))

    assert wrong.exit_code in {1, 2}
    assert not set(wrong.stderr) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'"text"', b"\xff"])
def test_an_answer_of_another_server_is_reported_as_such(
    content: bytes, api: FakeApi, run: Run
) -> None:
    api.answers("GET /batches", httpx.Response(200, content=content))

    done = run("batches")

    assert (done.exit_code, "is this Jobyard's API?" in done.stderr) == (1, True)


@pytest.mark.parametrize("width", [30, 50])
def test_a_narrow_terminal_loses_nothing_of_a_table(
    width: int, api: FakeApi, run_on_terminal: RunOnTerminal
) -> None:
    api.answers("GET /batches", {"items": [batch(), batch()], "next_cursor": None})

    shown = run_on_terminal(width, "batches")

    assert shown.count(BATCH) == 2
    assert "maps" in shown


@pytest.mark.parametrize("width", [0, 1, 7])
def test_text_wraps_on_a_very_narrow_terminal(
    width: int, api: FakeApi, run_on_terminal: RunOnTerminal
) -> None:
    api.answers("GET /batches", {"items": [batch()], "next_cursor": None})
    api.answers(f"GET /batches/{BATCH}", batch())
    api.answers(f"GET /jobs/{JOB}", job())

    for words in _reading_commands():
        assert run_on_terminal(width, *words)


def test_columns_can_widen_piped_output(
    api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "word " * 150 + "end"
    api.answers(f"GET /batches/{BATCH}", batch(note=note))

    monkeypatch.setenv("COLUMNS", "1000")
    wide = run("batch", BATCH).stdout
    monkeypatch.setenv("COLUMNS", "30")
    narrow = run("batch", BATCH).stdout

    assert note in wide
    assert BATCH in narrow
    assert max(map(len, narrow.splitlines())) <= terminal.PIPED_WIDTH


def test_a_result_is_shown_as_json(api: FakeApi, run: Run) -> None:
    found = {"bytes": 3, "digests": {"md5": "ab"}, "ok": True, "none": None, "word": "text"}
    api.answers(f"GET /jobs/{JOB}", job(result=found))

    shown = " ".join(run("job", JOB).stdout.split())

    for words in ('digests {"md5": "ab"}', "ok true", "none null", "word text", "bytes 3"):
        assert words in shown


def test_the_version_is_printed(run: Run) -> None:
    version = run("--version")

    assert version.exit_code == 0
    assert version.stdout.startswith("jobyard ")


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-01-31T18:00Z", "2030-01-31T18:00:00+00:00"),
        ("2030-01-31 9:05+01:00", "2030-01-31T08:05:00+00:00"),
        ("2030-01-31T18:00 America/Los_Angeles", "2030-02-01T02:00:00+00:00"),
        ("2030-01-31 UTC", "2030-01-31T00:00:00+00:00"),
    ],
)
def test_a_time_is_read_with_its_date_and_its_zone(text: str, instant: str) -> None:
    assert options.future_time(text) == instant


@pytest.mark.parametrize("text", ["9:00", "09:00", "23:59:59", "0:00 UTC", "9:00 Asia/Tokyo"])
def test_a_time_without_a_date_is_the_next_one(text: str) -> None:
    at = datetime.fromisoformat(options.future_time(text))

    assert 0 <= (at - NOW).total_seconds() <= 86400 + 3600 + 600  # a day may have 25 hours


@pytest.mark.parametrize(
    "text", ["", "25:00", "9", "9:0", "99999999999d", "2030-13-01", "9:00 Nowhere", "9:00Z UTC"]
)
def test_an_invalid_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        options.future_time(text)


def test_a_time_of_day_may_have_one_digit_and_a_zone(run: Run) -> None:
    def previewed(*words: str) -> Any:
        done = run("schedule", "preview", "--kind", "daily", *words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    plain = previewed("--at", "09:00", "--zone", "Asia/Tokyo", "--anchor", "2030-01-31")

    assert previewed("--at", "9:00", "--zone", "Asia/Tokyo", "--anchor", "2030-01-31") == plain
    assert previewed("--at", "9:00 Asia/Tokyo", "--anchor", "2030-01-31") == plain
    assert previewed("--zone", "Asia/Tokyo", "--anchor", "2030-01-31 9:00") == plain


def test_a_time_that_is_shown_has_its_date_or_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).astimezone()

    assert terminal.local_time(now.isoformat()).endswith(now.strftime("%Z"))
    assert terminal.local_time("2020-01-31T18:00:00Z").startswith("2020-01-31 ")


def test_exit_codes_are_what_the_readme_says(run: Run, api: FakeApi) -> None:
    api.answers("GET /batches", {"items": [], "next_cursor": None})
    api.answers(f"GET /batches/{BATCH}", httpx.Response(404, json={"detail": "there is none"}))

    assert run("batches").exit_code == 0
    assert run("batch", BATCH).exit_code == 1
    assert run("batch", "nonsense").exit_code == 2
    assert run("batch").exit_code == 2
    assert run("--nonsense").exit_code == 2
