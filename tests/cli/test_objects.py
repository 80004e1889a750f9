"""Objects on the command line: shown with their files, and downloaded."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.fake_api import BATCH, JOB, URL, FakeApi, Run

PATH = "/objects/ark-13030-m5a"
VERSION: dict[str, Any] = {
    "version": 2,
    "stored_at": "2026-11-30T10:00:00Z",
    "files_count": 2,
    "bytes": 7,
    "manifest_sha256": "ab" * 32,
    "batch_id": BATCH,
    "job_id": JOB,
    "links": {},
}


def answer(api: FakeApi, *names: str) -> None:
    """Answer with an object whose newest version has these files."""
    found = {
        "ark": "ark:/13030/m5a",
        "object_id": "ark-13030-m5a",
        "collection": "maps",
        "local_ids": ["box-1"],
        "versions": [VERSION],
        "next_cursor": None,
        "links": {},
    }
    files = [{"name": name, "size": 5, "digests": {"sha256": "cd" * 32}} for name in names]
    api.answers(f"GET {PATH}", found)
    api.answers(
        f"GET {PATH}/versions/2",
        *(
            {
                **VERSION,
                "ark": "ark:/13030/m5a",
                "depositor": "ann",
                "metadata": {},
                "source": {},
                "files": [each],
                "next_cursor": f"after-{number}" if number < len(files) else None,
            }
            for number, each in enumerate(files, start=1)
        ),
    )
    api.answers(f"GET {PATH}/versions/2/download", {"url": f"{URL}/file", "expires_s": 900})
    api.answers("GET /file", httpx.Response(200, content=b"bytes"))


def test_an_object_is_shown_with_the_files_of_its_newest_version(run: Run, api: FakeApi) -> None:
    answer(api, "a.txt", "b.txt")

    shown = run("object", "show", "https://n2t.net/ark:13030/m5-a").stdout

    assert "ark:/13030/m5a" in shown
    assert "a.txt" in shown
    assert "b.txt" in shown
    assert "by ann" in shown
    answer(api, "a.txt")
    document = json.loads(run("object", "show", "ark:/13030/m5a", "--json").stdout)
    assert document["version"]["files"][0]["name"] == "a.txt"


def test_all_files_of_an_object_are_downloaded_and_none_is_replaced(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    answer(api, "a.txt", "maps/b.txt")

    result = run("object", "get", "ark:/13030/m5a", "--to", str(tmp_path))

    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "maps" / "b.txt").read_bytes() == b"bytes"
    answer(api, "a.txt")
    again = run("object", "get", "ark:/13030/m5a", "--to", str(tmp_path))
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    run: Run, api: FakeApi, tmp_path: Path, name: str
) -> None:
    answer(api, name)

    result = run("object", "get", "ark:/13030/m5a", "--to", str(tmp_path / "in"))

    assert result.exit_code == 1
    assert "leads out of the folder" in result.stderr
    assert not (tmp_path / "out.txt").exists()


def test_text_that_is_not_an_ark_is_refused(run: Run, api: FakeApi) -> None:
    assert run("object", "show", "m5a").exit_code == 2
    assert api.requests == []
