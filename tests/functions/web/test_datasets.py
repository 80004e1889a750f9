"""Datasets on the pages: loading one, revisions, changes, maps, and the history of a feature."""

import base64
import gzip
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from jobyard.domain.edits.edit_job import EditState
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load
from jobyard.services.executions import dataset_execution
from jobyard.services.queries.datasets import RESPONSE_BYTES
from jobyard.store import edits
from tests.functions.api.api_client import Lambda
from tests.functions.web.browser import Browser
from tests.functions.web.dataset_records import a_dataset_with_a_commit
from tests.services.datasets.datasets import by_id, point
from tests.services.edits.edit_records import a_stored_job
from web.dataset_check import check_features


@pytest.fixture
def reader(browser: Browser) -> Browser:
    """A worker, and a dataset."""
    a_dataset_with_a_commit("roads", browser.function.SITE)
    browser.sign_in("worker")
    return browser


def test_a_dataset_shows_its_revisions_on_a_map(reader: Browser) -> None:
    page = reader.get("/datasets/roads").html

    assert "Revision 2, 3 features" in page
    assert "two &lt;bridges&gt;" in page
    assert "anna" in page
    assert 'href="/datasets/roads/revisions/2"' in page
    assert "Map of the dataset and its latest changes: " in page
    assert 'href="/datasets/roads"' in reader.get("/datasets").html


def test_a_revision_shows_what_it_changed(reader: Browser) -> None:
    page = reader.get("/datasets/roads/revisions/2").html

    assert "Map of the changes: " in page
    for sign in ("1 new", "1 changed", "1 deleted", "1 outline before"):
        assert sign in page
    assert 'href="/datasets/roads/feature?id=a%2Fb"' in page or "id=a/b" in page
    assert "name, old, geometry" in page
    for unknown in ("1", "3", "x", "9" * 20, "²"):
        assert reader.get(f"/datasets/roads/revisions/{unknown}").status == 404


def test_a_feature_shows_its_values_before_and_after(reader: Browser) -> None:
    page = reader.get("/datasets/roads/feature?id=a%2Fb").html
    deleted = reader.get("/datasets/roads/feature?id=deleted").html

    assert "&#34;&lt;b&gt;&#34;" in page
    assert "null" in page
    assert "This feature was deleted" in deleted
    assert reader.get("/datasets/roads/feature?id=none").status == 404
    assert reader.get("/datasets/none").status == 404
    assert reader.get(f"/datasets/{'n' * 3_000}").status == 404
    assert reader.get(f"/datasets/roads/feature?id={'n' * 3_000}").status == 404


def test_a_feature_that_is_larger_than_a_response_has_a_page_too(reader: Browser) -> None:
    site = reader.function.SITE
    made = [point("1", 1, note=letter * RESPONSE_BYTES) for letter in "ab"]
    a_dataset_with_a_commit("notes", site, *map(by_id, ([made[0]], [made[1]])))

    page = reader.get("/datasets/notes/feature?id=1")
    revision = reader.get("/datasets/notes/revisions/2")

    assert (page.status, revision.status) == (200, 200)
    assert "aaaa" in page.html
    assert len(page.html) < 100_000


def test_a_revision_is_exported_with_a_link(reader: Browser) -> None:
    site = reader.function.SITE
    form = reader.get("/datasets/roads/revisions/2")

    sent = reader.submit(form, "/datasets/roads/export", what="changes")

    waiting = reader.get(sent.location).html
    assert "The file is being written" in waiting
    export(started_task(reader, sent.location), DatasetContext(site.settings, site.s3, site.now))
    ready = reader.get(sent.location).html
    assert "roads-changes-1-2.jsonl.gz" in ready
    assert "X-Amz-Signature" in ready
    refused = reader.submit(form, "/datasets/roads/export", revision="9")
    assert "has the revisions 1 to 2, not 9" in refused.html


FILE = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "id": 1, "geometry": None, "properties": {}}],
    }
).encode()


def checked(browser: Browser, content: bytes, size: int = 0) -> str:
    """The answer to what the page's script sends of a file."""
    token = browser.get("/find").forms["/sign-out"]["csrf"]
    event = {
        "rawPath": "/datasets/check",
        "rawQueryString": f"filename=f&bytes={len(content)}&size={size or len(content)}",
        "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
        "headers": {"sec-fetch-site": "same-origin", "x-csrf-token": token},
        "requestContext": {"requestId": "r", "stage": "$default", "http": {"method": "POST"}},
        "body": base64.b64encode(gzip.compress(content)).decode(),
        "isBase64Encoded": True,
    }
    given = browser.function.handler(event, Lambda())
    body: str = given["body"]
    if given.get("isBase64Encoded"):
        body = gzip.decompress(base64.b64decode(body)).decode()
    return body


def started_task(browser: Browser, location: str) -> dict[str, Any]:
    """The input of the execution that a load or an export started."""
    site = browser.function.SITE
    arn = site.settings.edit_machine
    listed = site.machines.list_executions(stateMachineArn=arn)["executions"]
    name = dataset_execution(location.rpartition("/")[2])
    (started,) = (each for each in listed if each["name"] == name)
    found = site.machines.describe_execution(executionArn=started["executionArn"])
    document: dict[str, Any] = json.loads(found["input"])
    return document


def test_a_file_is_checked_sent_and_loaded_from_the_page(reader: Browser) -> None:
    reader.sign_in("planner")
    assert 'href="/datasets/new"' in reader.get("/datasets").html
    good = checked(reader, FILE)
    bad = checked(reader, FILE.replace(b"null", b"7"))
    cut = checked(reader, gzip.compress(FILE)[:-9], size=10**9)
    assert "1 feature can be loaded" in good
    assert 'data-errors="0"' in good
    assert "GEOMETRY_BAD" in bad
    assert "Line 1, column" in bad
    assert 'data-errors="0"' in cut
    assert "The rest is checked after you send it" in cut
    assert "it cannot be read" in checked(reader, gzip.compress(FILE)[:-9])
    endless = gzip.compress(FILE)
    asked = iter([False, True])
    late = check_features(gzip.compress(endless), is_cut=False, is_late=lambda: next(asked, True))
    assert not late.is_whole

    page = reader.get("/datasets/new")
    sent = reader.submit(page, "/datasets/new", file="C:\\data\\My Roads.geojson.gz")
    action = next(each for each in sent.forms if each.startswith("http"))
    fields = sent.forms[action]
    site = reader.function.SITE
    assert fields["success_action_redirect"].endswith("/datasets/new")
    site.s3.put_object(Bucket=site.settings.intake_bucket, Key=fields["key"], Body=FILE)
    second = reader.get(f"/datasets/new?key={quote(fields['key'])}")
    assert second.forms["/datasets"]["name"] == "my-roads"
    for name in ("new", "a/b"):
        assert reader.submit(second, "/datasets", name=name).status == 422
    taken = reader.submit(second, "/datasets", name="roads", precision="5")
    assert "change it with edit jobs" in taken.html
    assert taken.forms["/datasets"]["precision"] == "5"
    started = reader.submit(second, "/datasets", title="My <roads>")

    waiting = reader.get(started.location)
    assert "The file is being read" in waiting.html
    assert waiting.headers["x-next-poll"] == "3"
    load(started_task(reader, started.location), DatasetContext(site.settings, site.s3, site.now))
    assert "Loaded: 1 feature" in reader.get(started.location).html
    assert "My &lt;roads&gt;" in reader.get("/datasets/my-roads").html


def test_an_admin_sets_title_and_rules_over_what_was_seen(reader: Browser) -> None:
    assert "Edit the title" not in reader.get("/datasets/roads").html
    reader.sign_in("admin")
    page = reader.get("/datasets/roads")
    edit = "/datasets/roads/edit"
    rules = '[{"rule": "unique", "properties": ["name"]}]'

    for wrong, words in (
        ("{", "no JSON"),
        ("{}", "a list of rules"),
        ('[{"rule": "none"}]', "rules[0]"),
        ('[{"rule": "unique", "rule": "unique"}]', "twice"),
    ):
        refused = reader.submit(page, edit, rules=wrong, reason="why")
        assert (refused.status, words.lower() in refused.text.lower()) == (422, True)
    assert reader.submit(page, edit, rules=rules, title="Roads", reason="names").status == 303
    assert reader.submit(page, edit, rules="[]", title="Old", reason="late").status == 409
    shown = reader.get("/datasets/roads")
    assert "<h1>Roads</h1>" in shown.html
    assert "unique" in shown.text


def test_an_admin_deletes_a_dataset_without_open_edit_jobs(reader: Browser) -> None:
    reader.sign_in("admin")
    page = reader.get("/datasets/roads")
    job = a_stored_job("proposed", dataset="roads")

    refused = reader.submit(page, "/datasets/roads/delete", reason="old")
    edits.write(job, replace(job, state=EditState.DELETED, version=2))
    deleted = reader.submit(page, "/datasets/roads/delete", reason="too old")

    assert refused.status == 409
    assert "are open" in refused.text
    assert (deleted.status, deleted.location) == (303, "/datasets")
    gone = reader.get("/datasets/roads")
    assert gone.status == 410
    assert "was deleted by admin" in gone.text
    assert "roads" not in reader.get("/datasets").text
