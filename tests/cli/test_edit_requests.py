"""`jobyard edit`, `worklist` and `team` on a terminal."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.fake_api import NOW, FakeApi, Run, problem

EDIT, REVIEW = "e" + "a" * 20, "r" + "b" * 20


def job(**changes: Any) -> dict[str, Any]:
    """An edit job as the API shows it."""
    person = {"id": "1", "name": "anna"}
    return {
        "id": EDIT,
        "kind": "edit",
        "state": "downloaded",
        "version": 5,
        "dataset": "counties",
        "name": "Repair the border",
        "type": "border",
        "priority": "high",
        "clock": "red",
        "team": "north",
        "worker": person,
        "assignee": None,
        "planner": person,
        "created_at": NOW,
        "since": NOW,
        "planned_start": None,
        "planned_end": NOW,
        "actual_start": NOW,
        "actual_end": None,
        "extent": {"features": ["1"]},
        "buffer": 0.0,
        "quarantine": None,
        "attempt": 2,
        "base_revision": 1,
        "revision": 0,
        "package": {"package_id": f"{EDIT}.2.1", "digest": "d" * 64, "size": 9},
        "changes": 3,
        "approval": None,
        "authors": ["anna"],
        "failure_type": None,
        "parent_id": "",
        "open_child": "",
        "attachments": [
            {
                "index": 1,
                "custodian": "Ines",
                "description": "the survey",
                "state": "declined",
                "sends": 1,
                "link_expires_at": NOW,
                "answered_by": "Ines",
                "answered_at": NOW,
                "filename": "",
                "size": 0,
                "reason": "lost",
            }
        ],
        "time_spent_minutes": 0,
        "comment": "",
        "is_batch": False,
        "is_idle": True,
        "is_stuck": False,
        "problem": "the last check failed",
        "children": [],
        "history": [
            {
                "event": "revoke",
                "from": "downloaded",
                "to": "proposed",
                "at": NOW,
                "actor": "planner",
                "actor_id": "1",
                "reason": "wrong area",
                "cause": "r1",
            }
        ],
        "actions": ["edit", "upload"],
        "unavailable": [],
        "links": {},
        **changes,
    }


PAGE = {"items": [job()], "next_cursor": None}
TEAM = {
    "name": "north",
    "title": "The north",
    "version": 1,
    "members": [
        {
            "person": {"id": "1", "name": "anna"},
            "is_worker": True,
            "is_reviewer": False,
            "has_email": False,
        }
    ],
    "links": {},
}
SETTINGS = {
    "dataset": "counties",
    "types": {"border": {"quarantine": True, "latest": ["name"], "batch": "", "mails": False}},
}
COLUMN = {"column": "allocated", "items": [job()], "next_cursor": None}
WORKLIST = {"columns": [{**COLUMN, "next_cursor": "c"}]}
OUTCOMES = {"items": [{"edit_id": EDIT, "archived": True, "refusal": ""}]}
FIXUP = "x" + "a" * 20
CHANGES = {
    "items": [{"id": "1", "op": "update", "properties": ["name"], "before": None, "after": None}],
    "total": 2,
    "is_kept": True,
    "next_cursor": None,
}
FAILURE = {"feature_id": "1", "rule": "names", "message": "used twice"}
LOG = {
    "problem": "",
    "entries": [{"job_id": EDIT, "entry": job()["history"][0]}],
    "report": {"failures": [FAILURE], "inherited": []},
    "conflicts": ["7"],
}
BOTH = {
    "is_cut": False,
    "base": {"geometry": None, "properties": {}},
    "mine": {"geometry": {"type": "Point"}, "properties": {"name": "a"}},
    "theirs": {"geometry": None, "properties": {"name": 7}},
}
CUT = {"is_cut": True, "base": None, "mine": None, "theirs": None}
FINDINGS = {
    "is_kept": False,
    "report": {"failures": [FAILURE], "inherited": []},
    "conflicts": [
        {"id": "1", "kind": "update_delete", "properties": [], **BOTH, "theirs": None},
        {"id": "2", "kind": "update_update", "properties": ["name", "geometry"], **BOTH},
        {"id": "3", "kind": "update_update", "properties": ["name"], **CUT},
    ],
    "conflict_count": 4,
    "feedback": "wrong",
    "reviewer": "zoe",
}
FORECAST = {
    "is_out": True,
    "base_revision": 1,
    "revision": 2,
    "changed": ["1"],
    "is_complete": True,
    "overlapping": [{"id": EDIT, "name": "x", "state": "prepared", "worker": "ben"}],
    "summary": "1 of your features changed in the dataset; 1 open edit job overlaps",
}
RESCUED = {"name": "1/2/r/x", "attempt": 1, "filename": "x", "size": 9, "at": NOW}
WHY = ("--reason", "because")
COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("edit", "propose", "counties", "--feature", "1", "--type", "border"), "POST /edits", job()),
    (("edit", "copy", EDIT), f"POST /edits/{EDIT}/copy", job()),
    (("edit", "list"), "GET /edits", PAGE),
    (("edit", "list", "--dataset", "counties", "--ended"), "GET /edits", PAGE),
    (("edit", "show", EDIT), f"GET /edits/{EDIT}", job()),
    (("edit", "log", EDIT), f"GET /edits/{EDIT}/log", LOG),
    (("edit", "change", EDIT, "--name", "x", *WHY), f"PATCH /edits/{EDIT}", job()),
    (("edit", "allocate", EDIT, "north"), f"POST /edits/{EDIT}/allocate", job()),
    (("edit", "allocate", REVIEW, "--to", "zoe"), f"POST /edits/{REVIEW}/allocate", job()),
    *(
        (("edit", event, EDIT), f"POST /edits/{EDIT}/{event}", job())
        for event in ("activate", "relinquish", "finish", "delete", "release", "retry")
    ),
    (("edit", "publish-again", EDIT), f"POST /edits/{EDIT}/publish_again", job()),
    (("edit", "revoke", EDIT, *WHY), f"POST /edits/{EDIT}/revoke", job()),
    (("edit", "abandon", EDIT, *WHY), f"POST /edits/{EDIT}/abandon", job()),
    (("edit", "archive", EDIT), "POST /edits/archive", OUTCOMES),
    (("edit", "archive", "--dataset", "counties"), "POST /edits/archive", OUTCOMES),
    (("edit", "review", REVIEW, "approve"), f"POST /edits/{REVIEW}/approve", job()),
    (
        ("edit", "review", REVIEW, "corrections", "--comment", "no"),
        f"POST /edits/{REVIEW}/require_corrections",
        job(),
    ),
    (
        ("edit", "attachment", "request", EDIT, "Ines", "ines@example.org", "the survey"),
        f"POST /edits/{EDIT}/attachments",
        job(),
    ),
    (
        ("edit", "attachment", "resend", EDIT, "1"),
        f"POST /edits/{EDIT}/attachments/1/resend",
        job(),
    ),
    (
        ("edit", "attachment", "decline", EDIT, "1"),
        f"POST /edits/{EDIT}/attachments/1/answer",
        job(),
    ),
    (("edit", "changes", EDIT), f"GET /edits/{EDIT}/changes", CHANGES),
    (("edit", "findings", FIXUP), f"GET /edits/{FIXUP}/findings", FINDINGS),
    (("edit", "forecast", EDIT), f"GET /edits/{EDIT}/forecast", FORECAST),
    (("edit", "rescued", EDIT), f"GET /edits/{EDIT}/rescued", {"items": [RESCUED]}),
    (
        ("edit", "rescued", EDIT, "1/2/r/x"),
        f"GET /edits/{EDIT}/rescued/diff",
        {"upload": RESCUED, "url": "https://x", "same": 1, "is_complete": True, "changes": []},
    ),
    (("edit", "settings", "counties"), "GET /edit-settings/counties", SETTINGS),
    (("worklist",), "GET /worklist", WORKLIST),
    (("worklist", "--column", "allocated"), "GET /worklist/allocated", COLUMN),
    (("team", "list"), "GET /teams", {"items": ["north"], "next_cursor": None}),
    (("team", "show", "north"), "GET /teams/north", TEAM),
    (("team", "put", "north", "--worker", "anna"), "PUT /teams/north", TEAM),
    (("team", "delete", "north"), "DELETE /teams/north", {"items": [], "next_cursor": None}),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_each_command_sends_its_request_and_shows_the_answer(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    as_json = run(*words, "--json")
    as_text = run(*words)

    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, document)
    assert as_text.exit_code == 0
    assert as_text.stdout.strip()
    assert api.calls()[0].partition("?")[0] == endpoint


def test_edit_jobs_are_listed_by_filters_and_changes_page_by_page(run: Run, api: FakeApi) -> None:
    api.answers("GET /edits", {"items": [], "next_cursor": None})
    api.answers(
        f"GET /edits/{EDIT}/changes", *({**CHANGES, "next_cursor": each} for each in ("c", None))
    )

    run("edit", "list", "--state", "failed", "--dataset", "roads", "--team", "n", "--type", "t")
    run("edit", "list", "--own")
    run("edit", "list", "--stuck")
    shown = run("edit", "changes", EDIT, "--limit", "60")

    assert api.calls() == [
        "GET /edits?state=failed&dataset=roads&team=n&type=t&limit=100",
        "GET /edits?own=true&limit=100",
        "GET /edits?list=stuck&limit=100",
        f"GET /edits/{EDIT}/changes?limit=50",
        f"GET /edits/{EDIT}/changes?cursor=c&limit=50",
    ]
    assert shown.stdout.count("update") == 2


def test_a_column_of_the_worklist_is_read_page_by_page_up_to_the_limit(
    run: Run, api: FakeApi
) -> None:
    first, second = ({**COLUMN, "items": [job()] * number} for number in (50, 10))
    api.answers("GET /worklist/allocated", {**first, "next_cursor": "c"}, second)
    api.answers("GET /worklist", WORKLIST)

    shown = run("worklist", "--column", "allocated", "--limit", "60")
    all_columns = run("worklist")

    assert shown.stdout.count(EDIT) == 60
    assert api.calls()[:2] == [
        "GET /worklist/allocated?limit=50",
        "GET /worklist/allocated?cursor=c&limit=10",
    ]
    assert "showing the first 1 job: use --column allocated for more" in all_columns.stdout


def test_an_edit_job_is_shown_with_what_matters(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /edits/{EDIT}", job())

    text = run("edit", "show", EDIT).stdout

    for each in (
        *("downloaded, idle", "anna", "the last check failed", "change, upload"),
        *("wrong area", "lost", f"{EDIT}.2.1"),
    ):
        assert each in text


def test_conflicts_are_shown_with_three_values(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /edits/{FIXUP}/findings", FINDINGS)

    lines = run("edit", "findings", FIXUP).stdout.splitlines()

    rows = [line.split("  ") for line in lines if line[:1].isdigit()][1:]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["1", "feature", "{}", '{"name": "a"}', "no feature"],
        ["2", "name", "missing", "a", "7"],
        ["2", "geometry", "no place", "Point", "no place"],
        ["3", "feature", "too large to show", "too large to show", "too large to show"],
    ]


def test_a_type_of_edit_jobs_is_removed(run: Run, api: FakeApi) -> None:
    api.answers("DELETE /edit-settings/counties/a type", SETTINGS)
    api.answers("GET /edit-settings/counties", SETTINGS)

    removed = run("edit", "settings", "counties", "a type", "--remove")
    both = run("edit", "settings", "counties", "border", "--remove", "--set", "{}")

    assert (removed.exit_code, both.exit_code) == (0, 2)
    assert "border" in removed.stdout


def _answers_upload(api: FakeApi, *reports: dict[str, Any]) -> None:
    """Take a file that is uploaded, and answer what was found in it, a report after the other."""
    upload = {"url": "https://files.example.org/intake", "fields": {"key": "k"}}
    api.answers(f"GET /edits/{EDIT}", job())
    api.answers(f"POST /edits/{EDIT}/upload-form", {"key": "k", "upload": upload})
    api.answers("POST /intake", httpx.Response(204))
    api.answers(f"POST /edits/{EDIT}/upload", job())
    read = {"outcome": "accepted", "problem": "", "found": 0, "findings": [], "new_ids": {}}
    api.answers(f"GET /edits/{EDIT}/upload", *({**read, **each} for each in reports))


def test_a_refused_upload_says_where_the_mistakes_are(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "edits.geojson"
    file.write_bytes(b"{}")
    finding = {"level": "error", "code": "X", "line": 2, "column": 1, "feature_id": ""}
    findings = [{**finding, "message": "no object"}]
    refused = {"outcome": "refused", "problem": "a mistake", "found": 41, "findings": findings}
    _answers_upload(api, {**refused, "changes": 0})

    result = run("edit", "upload", EDIT, str(file))

    assert result.exit_code == 1
    assert "error: line 2: no object" in result.stdout
    assert "and 21 more" in result.stdout
    assert "the file was refused: a mistake" in result.stderr


def test_a_proposal_is_allocated_at_once_and_its_extent_changes(run: Run, api: FakeApi) -> None:
    api.answers("POST /edits", job(state="proposed"))
    api.answers(f"POST /edits/{EDIT}/allocate", problem(409, "it has no name"), job())
    api.answers(f"PATCH /edits/{EDIT}", job())
    wanted = ("edit", "propose", "counties", "--feature", "1", "--team", "north", "--to", "anna")

    refused, done = run(*wanted), run(*wanted)
    run("edit", "change", EDIT, "--box", "1", "2", "3", "4", "--buffer", "0", "--quarantine", *WHY)

    assert (refused.exit_code, done.exit_code) == (1, 0)
    assert f"{EDIT} is proposed, and not allocated" in refused.stderr
    assert "it has no name" in refused.stderr
    bodies = [json.loads(each.content) for each in api.requests if each.content]
    assert bodies[-2] == {"team": "north", "assignee": "anna"}
    extent = {"box": [1.0, 2.0, 3.0, 4.0]}
    assert bodies[-1] == {"reason": "because", "extent": extent, "buffer": 0.0, "quarantine": True}


def test_conflicts_are_decided_without_a_file(run: Run, api: FakeApi) -> None:
    _answers_upload(api, {"changes": 2, "new_ids": {"101": "105"}})

    done = run("edit", "upload", EDIT, "--choice", "101=renumber", "--choice", "a=b=mine")
    wrong = run("edit", "upload", EDIT, "--choice", "101=ours")
    nothing = run("edit", "upload", EDIT)

    assert "accepted, 2 changes; 1 new id" in done.stdout
    assert "101 has the new id 105" in done.stdout
    sent = next(each for each in api.requests if each.url.path == "/intake")
    assert b'"choices": {"101": "renumber", "a=b": "mine"}' in sent.content
    assert "'ours' is none of mine, theirs, renumber" in wrong.stderr
    assert "give a file, or decide" in nothing.stderr


def test_an_upload_sends_the_file_with_its_digest_for_the_last_package(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "edits.geojson"
    file.write_bytes(b"{}")
    finding = {"level": "warning", "code": "X", "line": 2, "column": 1, "feature_id": "7"}
    read = {"changes": 3, "found": 1, "findings": [{**finding, "message": "lost"}]}
    reading = {**read, "outcome": "reading", "findings": []}
    _answers_upload(api, reading, reading, read)

    result = run("edit", "upload", EDIT, str(file), "--whole", "--deleting", "4", "--minutes", "9")

    assert result.exit_code == 0
    assert "warning: line 2: 7: lost" in result.stdout
    assert f"{EDIT}: accepted, 3 changes" in result.stdout
    confirmed = next(each for each in api.requests if each.url.path.endswith("/upload"))
    sent = json.loads(confirmed.content)
    assert sent == {
        "key": "k",
        "attempt": 2,
        "package_id": f"{EDIT}.2.1",
        "digest": sha256(b"{}").hexdigest(),
        "kind": "whole",
        "deleting": 4,
        "comment": "",
        "time_spent_minutes": 9,
    }


def test_an_upload_for_a_claim_that_has_ended_names_its_package(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "edits.geojson"
    file.write_bytes(b"{}")
    _answers_upload(api, {})
    without = job(state="allocated", package=None)
    api.answers(f"GET /edits/{EDIT}", problem(404, "there is no such edit job"), without)
    api.answers(f"POST /edits/{EDIT}/upload", problem(409, "attempt 1 is over: your file is kept"))

    unnamed = [run("edit", "upload", EDIT, str(file)) for _ in range(2)]
    named = run("edit", "upload", EDIT, str(file), "--package", f"{EDIT}.1.3")
    wrong = run("edit", "upload", EDIT, str(file), "--package", "p.zip")

    assert (named.exit_code, wrong.exit_code) == (1, 2)
    for each in unnamed:
        assert each.exit_code == 1
        assert f"with --package, such as {EDIT}.1.0, and your file is kept" in each.stderr
    assert "your file is kept" in named.stderr
    form, confirmed = (json.loads(each.content) for each in api.requests[-3::2])
    assert form["attempt"] == confirmed["attempt"] == 1
    assert confirmed["package_id"] == f"{EDIT}.1.3"


def test_a_package_and_an_attachment_are_downloaded_to_files(
    run: Run, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = {
        "url": "https://files.example.org/package",
        "filename": "p.zip",
        "expires_at": NOW,
        "job": job(),
    }
    api.answers(f"POST /edits/{EDIT}/download", link)
    api.answers("GET /package", httpx.Response(200, content=b"PK"))
    target = tmp_path / "here.zip"

    attachment = {**link, "filename": "../a plan.pdf", "expires_s": 900}
    api.answers(f"GET /edits/{EDIT}/attachments/1/download", attachment)
    monkeypatch.chdir(tmp_path)

    assert run("edit", "download", EDIT, "--to", str(target)).exit_code == 0
    assert target.read_bytes() == b"PK"
    assert run("edit", "attachment", "download", EDIT, "1").exit_code == 0
    assert (tmp_path / "01-a plan.pdf").read_bytes() == b"PK"


@pytest.mark.parametrize(
    "words",
    [
        ("propose", "counties"),
        ("propose", "counties", "--feature", "1", "--polygon", "[]"),
        ("propose", "counties", "--feature", "1", "--to", "anna"),
        ("list", "--ended", "--own"),
        ("show", "b" + "a" * 20),
        ("change", EDIT, *WHY),
        ("allocate", EDIT),
        ("revoke", EDIT),
        ("archive",),
        ("review", REVIEW, "reject"),
        ("review", REVIEW, "discard"),
        ("settings", "counties", "border"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    words: tuple[str, ...], run: Run, api: FakeApi
) -> None:
    assert run("edit", *words).exit_code == 2
    assert api.requests == []


def test_a_refusal_is_printed_and_an_archive_that_is_not_complete_exits_with_1(
    run: Run, api: FakeApi
) -> None:
    api.answers(f"POST /edits/{EDIT}/activate", problem(409, "ben has activated it"))
    refused = {"items": [{"edit_id": EDIT, "archived": False, "refusal": "it is open"}]}
    api.answers("POST /edits/archive", refused)

    lost = run("edit", "activate", EDIT)
    archive = run("edit", "archive", EDIT)

    assert (lost.exit_code, "ben has activated it" in lost.stderr) == (1, True)
    assert (archive.exit_code, "it is open" in archive.stdout) == (1, True)
