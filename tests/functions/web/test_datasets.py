"""Datasets on the pages: revisions, changes, maps, and the history of a feature."""

import json

import pytest

from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.executions import dataset_execution
from tests.functions.web.browser import Browser
from tests.functions.web.dataset_records import a_dataset_with_a_commit


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


def test_a_revision_is_exported_with_a_link(reader: Browser) -> None:
    site = reader.function.SITE
    form = reader.get("/datasets/roads/revisions/2")

    sent = reader.submit(form, "/datasets/roads/export", what="changes")

    waiting = reader.get(sent.location).html
    assert "The file is being written" in waiting
    arn = site.settings.edit_machine
    listed = site.machines.list_executions(stateMachineArn=arn)["executions"]
    name = dataset_execution(sent.location.rpartition("/")[2])
    (started,) = (each for each in listed if each["name"] == name)
    found = site.machines.describe_execution(executionArn=started["executionArn"])
    context = DatasetContext(site.settings, site.s3, site.now)
    export(json.loads(found["input"]), context)
    ready = reader.get(sent.location).html
    assert "roads-changes-1-2.jsonl.gz" in ready
    assert "X-Amz-Signature" in ready
    refused = reader.submit(form, "/datasets/roads/export", revision="9")
    assert "has the revisions 1 to 2, not 9" in refused.html
