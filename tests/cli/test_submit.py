import json
from pathlib import Path

import httpx
import pytest

from tests.cli.fake_api import BATCH, JOB, URL, FakeApi, Run, batch, job, problem, report

SCHEDULE = "saaaaaaaaaaaaaaaaaaaa"

MADE = {
    "batch_id": BATCH,
    "state": "pending",
    "upload": {
        "url": f"{URL}/intake",
        "fields": {"key": "manifests/maps/x", "policy": "p"},
        "expires_at": "2030-01-31T12:15:00Z",
    },
    "links": {},
}


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    file = tmp_path / "maps.checkm"
    file.write_text("#%checkm_0.7\n")
    return str(file)


@pytest.fixture(autouse=True)
def intake(api: FakeApi) -> None:
    api.answers("POST /batches", MADE)
    api.answers("POST /intake", httpx.Response(204))


def test_a_manifest_is_submitted_and_uploaded_with_the_presigned_form(
    manifest: str, run: Run, api: FakeApi
) -> None:
    made = run("submit", manifest, "--collection", "maps", "--json")

    announced, uploaded = api.requests
    form = uploaded.content.decode()
    assert json.loads(made.stdout) == MADE
    assert json.loads(announced.content) == {
        "collection": "maps",
        "filename": "maps.checkm",
        "job_type": "deposit",
    }
    assert form.index("manifests/maps/x") < form.index("#%checkm_0.7")
    assert "Authorization" not in uploaded.headers


def test_all_options_of_submit_are_sent(manifest: str, run: Run, api: FakeApi) -> None:
    run(
        *("submit", manifest, "--profile", "mrt-batch-manifest", "--note", "spring"),
        *("--notify", "a@example.org", "--notify", "b@example.org"),
        *("--callback-url", "https://example.org/done"),
        *("--parameter", "title=A = B", "--parameter", 'local:=["x"]'),
    )

    assert json.loads(api.requests[0].content) == {
        "collection": "default",
        "filename": "maps.checkm",
        "job_type": "deposit",
        "profile": "mrt-batch-manifest",
        "note": "spring",
        "notify": ["a@example.org", "b@example.org"],
        "callback_url": "https://example.org/done",
        "parameters": {"title": "A = B", "local": ["x"]},
    }


def test_no_mail_sends_no_recipients(manifest: str, run: Run, api: FakeApi) -> None:
    run("submit", manifest, "--no-mail")

    assert json.loads(api.requests[0].content)["notify"] == []


def test_an_upload_that_cannot_connect_is_retried_whole(
    manifest: str, run: Run, api: FakeApi
) -> None:
    api.answers("POST /intake", httpx.WriteError("broken"), httpx.Response(204))

    made = run("submit", manifest)

    first, second = api.requests[1:]
    assert made.exit_code == 0
    assert b"#%checkm_0.7" in second.content
    assert len(first.content) == len(second.content)


def test_an_upload_that_may_have_arrived_is_not_sent_twice(
    manifest: str, run: Run, api: FakeApi
) -> None:
    api.answers("POST /intake", httpx.ReadTimeout("slow"))

    made = run("submit", manifest)

    assert made.exit_code == 1
    assert "not known whether the manifest arrived" in made.stderr
    assert f"jobyard batch {BATCH}" in made.stderr
    assert len(api.requests) == 2


def test_a_manifest_that_is_too_large_is_refused_with_a_message(
    manifest: str, run: Run, api: FakeApi
) -> None:
    words = "<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>"
    api.answers("POST /intake", httpx.Response(400, text=words))

    made = run("submit", manifest)

    assert made.exit_code == 1
    assert made.stderr == "the file is larger than this stack accepts\n"


def test_a_refused_submission_uploads_nothing(manifest: str, run: Run, api: FakeApi) -> None:
    api.answers("POST /batches", problem(422, "body.collection: a collection is letters"))

    made = run("submit", manifest, "--collection", "ä", "--json")

    assert made.exit_code == 1
    assert made.stdout == ""
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "words", [("nowhere.checkm",), ("--parameter", "title"), ("--parameter", "n:=no json")]
)
def test_contradictory_submit_options_are_a_usage_error(
    words: tuple[str, ...], manifest: str, run: Run, api: FakeApi
) -> None:
    made = run("submit", *(words if len(words) == 1 else (manifest, *words)))

    assert made.exit_code == 2
    assert api.requests == []


def test_an_empty_file_is_a_usage_error(tmp_path: Path, run: Run, api: FakeApi) -> None:
    (tmp_path / "empty.checkm").touch()

    assert run("submit", str(tmp_path / "empty.checkm")).exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1)])
def test_with_watch_the_exit_code_depends_on_the_batch(
    state: str, code: int, manifest: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"GET /batches/{BATCH}", batch(running=1), batch(state, succeeded=1))
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})

    watched = run("submit", manifest, "--watch", "--json")

    assert watched.exit_code == code
    assert json.loads(watched.stdout)["state"] == state


def test_several_batches_are_watched_together_and_all_must_complete(run: Run, api: FakeApi) -> None:
    other = f"b{'b' * 20}"
    api.answers(f"GET /batches/{BATCH}", batch("completed", succeeded=1))
    api.answers(f"GET /batches/{other}", batch(running=1), batch("failed", failed=1))

    watched = run("watch", BATCH, other, "--json")

    assert watched.exit_code == 1
    assert [each["state"] for each in json.loads(watched.stdout)["items"]] == [
        "completed",
        "failed",
    ]


@pytest.mark.parametrize(("end", "exit_code"), [("succeeded", 0), ("failed", 1)])
def test_a_job_is_watched_to_its_end(run: Run, api: FakeApi, end: str, exit_code: int) -> None:
    api.answers(f"GET /jobs/{JOB}", job("running"), job("running"), job(end))

    shown = run("watch", JOB)

    assert shown.exit_code == exit_code
    first, last = shown.stdout.splitlines()
    assert "running; step estimating" in first
    assert end in last


def test_the_running_job_of_a_schedule_is_watched(run: Run, api: FakeApi) -> None:
    run_id = f"{SCHEDULE}.0.1"
    api.answers(f"GET /schedules/{SCHEDULE}", {"running_job_ids": [run_id]})
    api.answers(f"GET /jobs/{run_id}", job("succeeded", job_id=run_id))

    assert f"{run_id} succeeded" in run("watch", SCHEDULE).stdout


def test_the_last_job_of_a_schedule_is_shown_if_none_runs(run: Run, api: FakeApi) -> None:
    run_id = f"{SCHEDULE}.0.1"
    api.answers(f"GET /schedules/{SCHEDULE}", {"running_job_ids": []})
    skipped, ran = {"job_id": ""}, {"job_id": run_id}
    api.answers(
        f"GET /schedules/{SCHEDULE}/occurrences", {"items": [skipped, ran], "next_cursor": None}
    )
    api.answers(f"GET /jobs/{run_id}", job("failed", job_id=run_id))

    shown = run("watch", SCHEDULE)

    assert (shown.exit_code, f"{run_id} failed" in shown.stdout) == (1, True)


def test_batches_and_jobs_are_not_watched_together(run: Run, api: FakeApi) -> None:
    assert run("watch", BATCH, JOB).exit_code == 2
