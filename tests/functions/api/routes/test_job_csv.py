"""The jobs of a batch as CSV, before there is a report."""

import csv
import json
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from jobyard.domain.batches.batch import Batch
from jobyard.services.batches.job_csv import COLUMNS
from jobyard.services.queries import job_csv
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import a_batch, a_job, put_lines
from tests.functions.web.browser import Browser

HOSTILE = [
    '=HYPERLINK("https://evil.example.org","open")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    'a,b\r\n"c"',
    "<script>alert(1)</script>",
    "北海道\u202egnp.exe",
]


def cells(text: str) -> list[dict[str, str]]:
    """The rows of a CSV, by column."""
    return [*csv.DictReader(StringIO(text))]


def a_hostile_batch() -> Batch:
    batch = a_batch("failed", entries=len(HOSTILE))
    rows = (
        {"line": n + 1, "kind": "file", "url": "https://me:pw@example.org/a", "name": name}
        for n, name in enumerate(HOSTILE)
    )
    put_lines(batch, [json.dumps(row).encode() + b"\n" for row in rows])
    a_job(batch, 0, "failed", failure_message="=cmd|' /C calc'!A0")
    return batch


def test_no_name_or_message_of_a_job_is_a_formula(api: Api) -> None:
    batch = a_hostile_batch()

    answer = api.get(f"/batches/{batch.batch_id}/jobs.csv")

    found = cells(answer.text)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{batch.batch_id}-jobs.csv"' in answer.headers["content-disposition"]
    assert tuple(found[0]) == COLUMNS
    assert [each["name"].removeprefix("'") for each in found] == HOSTILE
    every_cell = [cell for each in found for cell in each.values()]
    assert not [each for each in every_cell if each.lstrip(" \t").startswith(("=", "+", "-", "@"))]
    assert "pw" not in answer.text
    assert found[0]["failure_message"] == "'=cmd|' /C calc'!A0"


def all_parts(api: Api, path: str, **query: Any) -> list[str]:
    """Every part of a CSV, by the links to the next one."""
    parts = []
    while True:
        answer = api.get(path, query=query)
        parts.append(answer.text)
        if "link" not in answer.headers:
            return parts
        url = answer.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        query = dict(parse_qsl(urlsplit(url).query))


@pytest.mark.parametrize("bound", ["MAX_ROWS", "MAX_BYTES", "MAX_S"])
def test_the_parts_of_a_long_list_make_one_file(
    bound: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("failed", entries=7)
    for number in (0, 1, 4, 6):
        a_job(batch, number, "failed")
    path = f"/batches/{batch.batch_id}/jobs.csv"
    whole = api.get(path, query={"state": "failed"}).text
    monkeypatch.setattr(job_csv, bound, -1 if bound == "MAX_S" else 1)

    parts = all_parts(api, path, state="failed")

    assert len(parts) > 1
    assert "".join(parts) == whole
    assert [each["line"] for each in cells(whole)] == ["6", "7", "10", "12"]


def test_a_part_without_a_match_says_where_the_next_one_is(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("processing", entries=5)
    path = f"/batches/{batch.batch_id}/jobs.csv"
    monkeypatch.setattr(job_csv, "MAX_S", -1)  # no time for a second chunk

    parts = all_parts(api, path, name="4")

    assert [each.count("\r\n") for each in parts] == [1, 0, 1]


def test_the_link_on_the_page_is_to_a_file_that_names_its_next_part(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("failed", entries=5)
    for number in range(4):
        a_job(batch, number, "failed")
    at = f"/batches/{batch.batch_id}/jobs"
    browser.sign_in("viewer")
    monkeypatch.setattr(job_csv, "MAX_ROWS", 2)

    page = browser.get(f"{at}?state=failed")
    first = browser.get(f"{at}.csv?state=failed")
    where = first.html.splitlines()[-1].rpartition(" ")[2]
    second = browser.get(where.removeprefix("https://jobyard.example.org"))

    assert f'href="{at}.csv?state=failed"' in page.html
    assert "in parts of about 2 jobs" in page.text
    assert first.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{batch.batch_id}-jobs.csv"' in first.headers["content-disposition"]
    assert first.html.splitlines()[-1].startswith("There may be more jobs. The next part: http")
    assert [each["name"] for each in cells(first.html)[:2]] == ["0", "1"]
    assert [each["name"] for each in cells(second.html)] == ["2", "3"]
    assert f'filename="{batch.batch_id}-jobs-from-1.0.csv"' in second.headers["content-disposition"]
