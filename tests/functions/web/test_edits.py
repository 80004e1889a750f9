"""The pages of edit jobs: what they show, and what their forms do."""

import hashlib
import json
import re
from dataclasses import replace
from urllib.parse import quote

import pytest

from jobyard.domain.datasets.changes import Difference, change_of
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.validation_report import RuleFailure, ValidationReport
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.merge import MergeConflict
from jobyard.services.edits.work_files import log_key, write_json
from jobyard.store import datasets, edits, teams
from tests.functions.web.browser import Browser
from tests.functions.web.edit_machine import read_file
from tests.functions.web.edit_records import (
    ALAMEDA,
    DATASET,
    STANISLAUS,
    TEAM,
    EditRecords,
    counties,
    kept_edits,
)
from tests.tables import KeptRecords


@pytest.fixture
def records(browser: Browser, kept_records: KeptRecords) -> EditRecords:
    return kept_edits(browser, kept_records)


def test_every_state_has_a_page_that_says_what_happens_next(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("admin")

    for job in records.jobs.values():
        page = browser.get(f"/edits/{job.edit_id}")
        assert page.status == 200
        assert "Next:" in page.text or "What happens next:" in page.text
        assert 'class="picture map"' in page.html
        for part in ("changes", "uploads", "log"):
            assert browser.get(f"/edits/{job.edit_id}/{part}").status == 200
    for child in records.children.values():
        for part in ("", "/changes", "/uploads"):
            page = browser.get(f"/edits/{child.child_id}{part}")
            assert page.status == 200


_BOX = {"kind": "box", "west": "-122.4", "south": "37.2", "east": "-121", "north": "38"}


def test_a_planner_proposes_changes_and_allocates_an_edit_job(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("planner")
    form = browser.get(f"/edits/new?dataset={DATASET}")

    made = browser.submit(
        form,
        "/edits/new",
        **_BOX,
        name="Repair it",
        edit_type="border",
        priority="high",
        planned_end="2026-12-24T18:00",
        custodian_0="Rosa",
        email_0="rosa@example.org",
        description_0="the plan",
    )
    address = made.location
    job = edits.get(address.removeprefix("/edits/"))
    changed = browser.submit(
        browser.get(f"{address}/edit"),
        f"{address}/edit",
        edit_type="border",
        kind="polygon",
        polygon="-122.4 37.2\n-121, 37.2\n-121 38",
    )
    page = browser.get(address)
    allocated = browser.submit(page, f"{address}/allocate", team=TEAM, assignee="ben")

    assert (made.status, changed.status) == (303, 303)
    assert (allocated.status, allocated.alert) == (303, "")
    assert job.extent == parse_extent({"box": [-122.4, 37.2, -121, 38]})
    assert f"{job.planned_end:%Y-%m-%d %H:%M}" == "2026-12-24 18:00"
    stored = edits.get(job.edit_id)
    assert len(stored.extent.polygon) == 3
    assert (stored.state, stored.assignee and stored.assignee.name) == ("blocked", "ben")
    copied = browser.submit(browser.get(address), f"{address}/copy")
    assert copied.location.endswith("/edit")
    again = edits.get(copied.location.split("/")[2])
    assert (again.state, again.extent, again.planned_end) == ("proposed", stored.extent, None)


def test_a_form_with_errors_says_where_and_keeps_what_was_typed(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("planner")
    form = browser.get(f"/edits/new?dataset={DATASET}")

    def post(**fields: str) -> str:
        page = browser.submit(form, "/edits/new", **{"name": "Repair <b>", **fields})
        assert page.status == 422
        assert "Repair &lt;b&gt;" in page.html
        return page.text

    assert "Draw a box on the map" in post(kind="box")
    assert "Vertex 2: give a longitude" in post(kind="polygon", polygon="1 2\nx\n3 4")
    assert "intersects itself" in post(kind="polygon", polygon="0 0\n1 1\n1 0\n0 1")
    assert "Give the id of a feature" in post(kind="features")
    look = browser.submit(form, "/edits/new", look="-123,37,-121,38", name="Repair")
    assert (look.status, 'value="Repair"' in look.html) == (200, True)


def test_events_need_their_reason_and_refusals_keep_the_page(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("planner")
    job = records.jobs["downloaded"]
    address = f"/edits/{job.edit_id}"
    page = browser.get(address)

    nothing = browser.submit(page, f"{address}/revoke")
    revoked = browser.submit(page, f"{address}/revoke", reason="it was a mistake")
    late = browser.submit(page, f"{address}/abandon", reason="twice")
    missing = browser.post(f"{address}/explode", page.forms[f"{address}/revoke"])

    assert nothing.status == 422
    assert (revoked.status, edits.get(job.edit_id).state) == (303, "proposed")
    assert (late.status, "proposed" in late.alert) == (409, True)
    assert missing.status == 404


def test_the_second_worker_to_activate_sees_who_was_first(
    browser: Browser, records: EditRecords
) -> None:
    job = records.jobs["allocated"]
    address = f"/edits/{job.edit_id}"
    page = browser.sign_in("ben", name="ben", groups=("worker",)).get(address)
    browser.sign_in("worker")
    browser.submit(browser.get(address), f"{address}/activate")
    browser.sign_in("ben", name="ben", groups=("worker",))

    late = browser.submit(page, f"{address}/activate")

    assert late.status == 409
    assert "Worker has activated" in late.alert


def _put(browser: Browser, key: str, body: bytes) -> None:
    site = browser.function.SITE
    site.s3.put_object(Bucket=site.settings.intake_bucket, Key=key, Body=body)


def _sent_form(browser: Browser, address: str, body: bytes) -> str:
    """Send a file as the form of an upload does; the address that S3 leads to."""
    form = next(
        fields
        for action, fields in browser.get(f"{address}/upload").forms.items()
        if "intake" in action
    )
    _put(browser, form["key"], body)
    return f"{address}/upload?bucket=intake&key={quote(form['key'])}&etag=x"


def test_a_worker_downloads_and_uploads_in_two_steps(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")
    job = records.jobs["downloaded"]
    address = f"/edits/{job.edit_id}"
    feature = counties()[ALAMEDA].document() | {"properties": {"name": "Alameda!"}}
    body = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()

    link = browser.submit(browser.get(address), f"{address}/download").location
    confirm = browser.get(_sent_form(browser, address, body))
    sent = browser.submit(confirm, f"{address}/upload", kind="changes", digest="0" * 64)
    reading = browser.get(sent.location)
    read_file(browser, job.edit_id)
    cut = browser.get(sent.location)
    digest = hashlib.sha256(body).hexdigest()
    fields = {"kind": "changes", "minutes": "25", "comment": "as on the plan", "digest": digest}
    browser.submit(confirm, f"{address}/upload", **fields)
    overview = browser.get(address).text
    read_file(browser, job.edit_id)
    done = browser.get(f"{address}/file")

    assert "work" in link
    assert "The file is being read" in reading.text
    assert 'class="live needs-script s-active"' in reading.html
    assert "The file was refused The stored file has the SHA-256" in cut.text
    assert "The file is being read" in overview
    assert "Accepted: 1 change" in done.text
    assert "clockwise" in done.text
    stored = edits.get(job.edit_id)
    assert (stored.state, stored.time_spent_minutes) == ("uploaded", 25)
    assert stored.upload_comment == "as on the plan"
    shown = browser.get(f"{address}/changes").text
    assert "Alameda Alameda!" in shown


def test_a_whole_upload_that_leaves_out_many_asks_for_their_number(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")
    job = records.replaced("downloaded", extent=parse_extent({"box": [-125, 32, -114, 42]}))
    records.package("downloaded")
    address = f"/edits/{job.edit_id}"
    kept = [each.document() for each in list(counties().values())[:30]]
    body = json.dumps({"type": "FeatureCollection", "features": kept}).encode()
    confirm = browser.get(_sent_form(browser, address, body))

    guarded = browser.submit(confirm, f"{address}/upload", kind="whole")
    read_file(browser, job.edit_id)
    refused = browser.get(guarded.location)
    browser.submit(confirm, f"{address}/upload", kind="whole", deleting="28")
    read_file(browser, job.edit_id)

    assert "it deletes 28 of 58 features" in refused.text
    assert "DELETIONS_UNCONFIRMED" in refused.text
    assert "Accepted: 28 changes" in browser.get(guarded.location).text


def test_conflicts_are_decided_side_by_side(browser: Browser, records: EditRecords) -> None:
    browser.sign_in("worker")
    child = records.children["conflicted"]
    address = f"/edits/{child.child_id}/conflicts"

    page = browser.get(address)
    half = browser.submit(page, address, **{"choice-1": "mine"})
    done = browser.submit(page, address, **{"choice-1": "mine", "choice-2": "theirs"})

    assert "Stanislaus County" in page.text
    assert "changed here, deleted in the dataset" in page.text
    assert 'aria-label="06001, mine: 1 outline before, 1 changed' in page.html
    assert 'aria-label="06001, theirs' not in page.html
    assert (half.status, "Choose mine or theirs for 06001" in half.alert) == (422, True)
    assert done.location.endswith(f"/edits/{child.child_id}/file")
    read_file(browser, child.child_id)
    stored = edits.get_child(child.child_id)
    assert (stored.state, stored.edits and stored.edits.count) == ("uploaded", 1)


def test_more_conflicts_than_a_page_has_are_decided_with_a_file(
    browser: Browser, records: EditRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.edit_page._MAX_CONFLICTS", 1)
    monkeypatch.setattr("web.edit_page._VALUES_SHOWN", 1)
    browser.sign_in("worker")
    child = records.children["conflicted"]

    page = browser.get(f"/edits/{child.child_id}/conflicts")

    assert "These are the first 1 of 2" in page.text
    assert "And 2 more." in page.text  # values of the one that is shown
    assert "choice-1" not in page.html


def test_the_process_log_has_what_failed_a_job_that_a_function_edits(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("admin")
    job = records.replaced("failed", is_batch=True)
    failure = RuleFailure("borders", "OVERLAP", ALAMEDA, "it overlaps Stanislaus")
    for found, shown in (
        (ValidationReport((failure,), (), "v").document(), "it overlaps Stanislaus"),
        (
            {"revision": 2, "conflicts": [{"id": ALAMEDA}]},
            f"In conflict with what is live: {ALAMEDA}",
        ),
    ):
        write_json(log_key(job.edit_id, job.attempt), {"findings": found}, records.context)
        assert shown in browser.get(f"/edits/{job.edit_id}/log").text


def test_what_both_inserted_may_get_a_new_id(browser: Browser, records: EditRecords) -> None:
    browser.sign_in("worker")
    mine = Feature("new", counties()[ALAMEDA].geometry, {"name": "mine"})
    theirs = replace(mine, properties={"name": "theirs"})
    made = [change_of("new", None, each) for each in (mine, theirs)]
    assert made[0]
    assert made[1]
    conflict = MergeConflict("new", made[0].kind, made[1].kind, Difference(("name",)))
    found = ConflictVersions(conflict, None, mine, theirs).document()
    child = records.children["conflicted"]
    write_json(child.findings, {"revision": 2, "conflicts": [found]}, records.context)
    address = f"/edits/{child.child_id}"

    page = browser.get(f"{address}/conflicts")
    browser.submit(page, f"{address}/conflicts", **{"choice-1": "renumber"})
    read_file(browser, child.child_id)

    assert "Both: mine gets a new id" in page.text
    assert "new new-2" in browser.get(f"{address}/file").text


def test_failures_are_listed_apart_from_inherited_defects_and_linked(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")

    for job_id in (records.jobs["invalid"].edit_id, records.children["invalid"].child_id):
        page = browser.get(f"/edits/{job_id}")
        before, _, after = page.text.partition("Not caused by this job")
        assert "it overlaps 06099" in before
        assert "it crosses itself" in after
        assert f"/edits/{job_id}/changes?feature={ALAMEDA}" in page.html
    one = browser.get(f"/edits/{records.jobs['invalid'].edit_id}/changes?feature={STANISLAUS}")
    assert "Stanislaus &lt;b&gt;" in one.html
    assert ALAMEDA not in one.text


def test_a_page_says_how_many_children_it_does_not_show(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("planner")
    counts = {FailureType.VALIDATION: 1, FailureType.CONFLICT: 23}
    job = records.replaced("invalid", children=counts)

    page = browser.get(f"/edits/{job.edit_id}")

    assert "Earlier ones that are not shown: 3" in page.text


def test_a_reviewer_decides_with_a_comment(browser: Browser, records: EditRecords) -> None:
    review = records.children["quarantined"]
    address = f"/edits/{review.child_id}"
    browser.sign_in("reviewer")
    page = browser.get(address)
    fields = page.forms[f"{address}/approve"]

    silent = browser.post(f"{address}/require_corrections", fields)
    done = browser.post(f"{address}/require_corrections", fields | {"comment": "east of the road"})

    assert "Corrections required" in page.text
    assert (silent.status, "needs a comment" in silent.alert) == (422, True)
    assert done.status == 303
    parent = browser.get(f"/edits/{records.jobs['quarantined'].edit_id}").text
    assert "QUARANTINE_CORRECTIONS" in parent
    assert "east of the road" in parent


def test_a_late_upload_is_kept_and_shown_with_its_differences(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")
    job = records.jobs["downloaded"]
    address = f"/edits/{job.edit_id}"
    feature = counties()[ALAMEDA].document() | {"properties": {"name": "Too late"}}
    body = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    confirm = browser.get(_sent_form(browser, address, body))
    browser.sign_in("planner")
    browser.submit(browser.get(address), f"{address}/revoke", reason="a mistake")
    browser.sign_in("worker")

    refused = browser.post(f"{address}/upload", confirm.forms[f"{address}/upload"])
    uploads = browser.get(f"{address}/uploads")
    names = re.findall(r'/uploads/diff\?name=([^"]+)"', uploads.html)  # other tests' uploads too
    texts = [browser.get(f"{address}/uploads/diff?name={name}").text for name in names]
    browser.sign_in("ben", name="ben", groups=("worker",))
    foreign = browser.get(f"{address}/uploads")

    assert refused.status == 409
    assert "revoke by planner (a mistake). Your file is kept until" in refused.text
    (shown,) = (each for each in texts if "Too late" in each)
    assert "Alameda" in shown
    assert foreign.status == 404


def test_many_are_archived_with_an_outcome_each(browser: Browser, records: EditRecords) -> None:
    browser.sign_in("planner")
    page = browser.get(f"/planner?dataset={DATASET}&list=ended")
    fields = page.forms["/planner/archive"]
    ended, open_ = records.jobs["completed"].edit_id, records.jobs["downloaded"].edit_id

    none = browser.post("/planner/archive", {**fields, "job_id": "", "older_than": ""})
    done = browser.post("/planner/archive", {**fields, "older_than": "", "job_id": [ended, open_]})

    assert none.status == 422
    assert "1 edit job archived, 1 not" in done.text
    assert f"/edits/{open_}" in done.html
    assert edits.get(ended).state == "archived"


def test_a_form_does_not_overwrite_what_was_changed_since_it_was_opened(
    browser: Browser, records: EditRecords
) -> None:
    team, types = f"/teams/{TEAM}", f"/datasets/{DATASET}/edit-types"
    edit = f"/edits/{records.jobs['proposed'].edit_id}/edit"
    forms: dict[str, dict[str, str]] = {team: {}, types: {"edit_type": "roads"}, edit: {}}
    names = {team: "title", types: "latest", edit: "name"}
    for address, fields in forms.items():
        early, late = browser.sign_in("admin").get(address), browser.get(address)
        first = browser.submit(late, address, **fields, **{names[address]: "first"})
        refused = browser.submit(early, address, **fields, **{names[address]: "second"})
        again = browser.submit(refused, address, **fields, **{names[address]: "second"})

        statuses = [each.status for each in (first, refused, again)]
        assert statuses == [303, 409, 303], address
        assert "changed since" in refused.alert
        assert "second" in refused.html
        assert "second" in browser.get(address).html


def test_an_admin_makes_a_team_and_sets_a_type(browser: Browser, records: EditRecords) -> None:
    browser.sign_in("admin")

    new = browser.submit(browser.get("/teams"), "/teams", name="rivers")
    odd = browser.submit(browser.get("/teams"), "/teams", name="a?b#c")
    form = browser.get(new.location)
    unknown = browser.submit(form, "/teams/rivers", workers="nobody-here")
    made = browser.submit(form, "/teams/rivers", title="Rivers", workers="depositor")
    types = f"/datasets/{DATASET}/edit-types"
    page = browser.get(types)
    csrf = page.forms[types]
    wrong = browser.post(types, {**csrf, "edit_type": "roads", "reviewers": "no-such-team"})
    fields = {"edit_type": "roads", "quarantine": "1", "latest": "name\nseat", "reviewers": TEAM}
    saved = browser.post(types, {name: csrf[name] for name in ("csrf", "seen")} | fields)

    assert odd.location == "/teams/a%3Fb%23c"
    assert (unknown.status, "nobody-here" in unknown.alert) == (422, True)
    assert made.status == 303
    assert [each.name for each in teams.get("rivers").workers] == ["depositor"]
    assert (wrong.status, "no-such-team" in wrong.alert) == (422, True)
    assert saved.status == 303
    assert "Quarantine" in browser.get(types).text
    roads, border = (f"{types}/delete?edit_type={each}" for each in ("roads", "border"))
    refused = browser.submit(browser.get(types), border)
    assert (refused.status, "jobs of type border are open" in refused.alert) == (409, True)
    assert browser.submit(browser.get(types), roads).status == 303
    assert [*datasets.get(DATASET).edit_types] == ["border", "names"]


def test_a_planner_sends_a_file_for_a_custodian(browser: Browser, records: EditRecords) -> None:
    browser.sign_in("planner")
    address = f"/edits/{records.jobs['blocked'].edit_id}"
    form = next(
        fields
        for action, fields in browser.get(f"{address}/attachments/1").forms.items()
        if "intake" in action
    )
    key = form["key"].replace("${filename}", "plan.pdf")
    _put(browser, key, b"the plan")

    back = browser.get(f"{address}/attachments/1?key={quote(key)}")
    done = browser.submit(back, f"{address}/attachments/1/answer")

    assert done.status == 303
    stored = edits.get(records.jobs["blocked"].edit_id).attachments[0]
    assert (stored.filename, stored.answered_by) == ("plan.pdf", "planner")
    file = f"{address}/attachments/1/file"
    assert file in browser.get(address).html
    assert "X-Amz-Signature" in browser.get(file).location
    browser.sign_in("viewer")
    assert file not in browser.get(address).html
    assert browser.get(file).status == 403


def test_every_page_with_a_download_lets_its_form_lead_to_the_package(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")
    job_id = records.jobs["downloaded"].edit_id
    action = f'action="/edits/{job_id}/download'

    for address in (
        f"/worklist?job={job_id}",
        *(f"/edits/{job_id}{part}" for part in ("", "/changes", "/upload", "/uploads")),
    ):
        page = browser.get(address)
        assert action in page.html
        forms = page.headers["content-security-policy"].partition("form-action")[2]
        assert "https://work.s3.amazonaws.com" in forms.partition(";")[0]


def test_a_planner_lists_edit_jobs_of_all_datasets_by_state_and_team(
    browser: Browser, records: EditRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("planner")
    open_, ended = records.jobs["downloaded"].edit_id, records.jobs["completed"].edit_id

    every = browser.get("/planner?dataset=*").html
    completed = browser.get("/planner?dataset=*&state=completed").html
    none = browser.get(f"/planner?dataset={DATASET}&team=none&list=ended").html

    assert open_ in every
    assert ended not in every
    assert "map-tools" not in every
    assert ended in completed
    assert open_ not in completed
    assert 'list=ended&amp;state=" aria-current="page"' in completed
    assert "Nothing matches" in none
    monkeypatch.setattr("jobyard.services.queries.edits.datasets_offered", lambda _: [])
    assert f'value="{DATASET}" selected' in browser.get(f"/planner?dataset={DATASET}").html
    assert browser.get("/planner?dataset=none").status == 404
