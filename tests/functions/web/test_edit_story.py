"""An edit job from its proposal to its commit, on the pages without a script, by three people."""

import json
from urllib.parse import quote

from jobyard.domain.datasets.rules import read_rules
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import datasets, edits
from tests.functions.web.browser import Browser, Page
from tests.functions.web.edit_machine import run_machine
from tests.functions.web.edit_records import ALAMEDA, TEAM, a_dataset, a_team, counties

_RULES = (
    {
        "rule": "schema",
        "schema": {"properties": {"name": {"type": "string", "maxLength": 14}}},
    },
)


def _as(browser: Browser, role: str) -> Browser:
    return browser.sign_in(role)


def _press(browser: Browser, job_id: str, event: str) -> Page:
    """Press a button of the page of a job, and let the machine run."""
    address = f"/edits/{job_id}"
    answer = browser.submit(browser.get(address), f"{address}/{event}")
    assert answer.status == 303, answer.alert
    run_machine(browser)
    return answer


def _upload(browser: Browser, job_id: str, name: str) -> Page:
    """Upload another name for Alameda."""
    site = browser.function.SITE
    feature = counties()[ALAMEDA].document() | {"properties": {"name": name}}
    body = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    address = f"/edits/{job_id}/upload"
    forms = browser.get(address).forms
    form = next(fields for action, fields in forms.items() if "intake" in action)
    site.s3.put_object(Bucket=site.settings.intake_bucket, Key=form["key"], Body=body)
    confirm = browser.get(f"{address}?key={quote(form['key'])}")
    answer = browser.submit(confirm, address, kind="changes", comment="the official name")
    assert answer.status in {200, 303}, answer.alert
    run_machine(browser)
    return answer


def test_a_border_is_planned_edited_repaired_reviewed_and_committed(browser: Browser) -> None:
    site = browser.function.SITE
    a_team()
    made = a_dataset(DatasetContext(site.settings, site.s3, site.now))
    found = read_rules(_RULES)
    changes = {"rules": found.documents, "rules_version": found.version}
    datasets.put_settings(made.with_settings(**changes))

    _as(browser, "planner")
    form = browser.get("/edits/new")
    box = {"kind": "box", "west": "-122.4", "south": "37.3", "east": "-121.4", "north": "38"}
    fields = {"name": "The name", "edit_type": "border", "priority": "high"}
    job_id = browser.submit(form, "/edits/new", **box, **fields).location.rpartition("/")[2]
    page = browser.get(f"/edits/{job_id}")
    browser.submit(page, f"/edits/{job_id}/allocate", team=TEAM, assignee="")

    _as(browser, "worker")
    assert job_id in browser.get("/worklist").html
    _press(browser, job_id, "activate")
    assert "They download its package" in browser.get(f"/edits/{job_id}").text
    _press(browser, job_id, "download")
    _upload(browser, job_id, "Alameda, a county of many bays")
    invalid = browser.get(f"/edits/{job_id}")
    fixup = edits.get(job_id).open_child
    assert "1 failure" in invalid.text
    assert "is too long" in invalid.text
    for event in ("activate", "download"):
        _press(browser, fixup, event)
    _upload(browser, fixup, "Alameda County")

    review = edits.get(job_id).open_child
    assert "QUARANTINE_REVIEW" in browser.get(f"/edits/{job_id}").text
    refused = browser.post(f"/edits/{review}/activate", browser.get("/find").forms["/sign-out"])
    assert refused.status == 403
    _as(browser, "reviewer")
    for event in ("activate", "download"):
        _press(browser, review, event)
    assert "Alameda Alameda County" in browser.get(f"/edits/{review}/changes").text
    _press(browser, review, "approve")

    _as(browser, "planner")
    done = browser.get(f"/edits/{job_id}")
    assert "Completed" in done.text
    assert "Approved by reviewer" in done.text
    assert "Alameda County" in browser.get(f"/edits/{job_id}/changes").text
    assert datasets.get(made.name).revision == 2
    assert "1 edit job archived" in _archived(browser, job_id).text


def _archived(browser: Browser, job_id: str) -> Page:
    page = browser.get("/planner?list=ended")
    fields = page.forms["/planner/archive"]
    return browser.post("/planner/archive", fields | {"older_than": "", "job_id": [job_id]})
