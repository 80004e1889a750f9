"""What people do on the pages: events, retries, holds; and how a refusal is shown."""

import csv
import io
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.batches.operation import (
    ACCEPTED,
    REFUSED,
    Filter,
    JobOutcome,
    Operation,
    OperationState,
)
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.services.batches import operations as batch_operations
from jobyard.services.batches import rows
from jobyard.services.context import Actor, QueryContext
from jobyard.services.queries import holds as hold_queries
from jobyard.services.queries import job_csv
from jobyard.services.queries import overview as overview_queries
from jobyard.store import batches, chunks, jobs, operations, reports
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, a_report, executions
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser, Page
from web.event_buttons import button_for_many


def _send(browser: Browser, page: str, action: str, **fields: str) -> Page:
    return browser.submit(browser.get(page), action, **fields)


def _address_of(page: Page, words: str) -> str:
    """The address of the link with these words, after an icon if it has one."""
    (found,) = re.findall(rf'<a [^>]*href="([^"]*)"[^>]*>(?:<svg.*?</svg>)?{words}', page.html)
    return unescape(found)


def test_an_event_with_a_reason_changes_the_batch_and_returns_to_it(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")

    answer = _send(browser, at, f"{at}/cancel", reason="wrong collection")

    assert (answer.status, answer.location) == (303, at)
    moved = batches.get(batch.batch_id, browser.function.SITE.now())
    assert (moved.state, moved.history[-1].reason) == ("cancelling", "wrong collection")
    assert "Cancelling" in browser.get(at).text


def test_a_double_click_is_harmless(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    page = browser.get(at)

    answers = [browser.submit(page, f"{at}/cancel", reason="twice") for _ in range(2)]

    assert [each.location for each in answers] == [at, at]
    moved = batches.get(batch.batch_id, browser.function.SITE.now())
    assert [each.event for each in moved.history].count("cancel") == 1


def test_a_refused_event_shows_the_page_as_it_is_now_with_the_words_and_what_was_typed(
    browser: Browser,
) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    stale = browser.get(at)
    _send(browser, at, f"{at}/cancel", reason="first")

    answer = browser.submit(stale, f"{at}/cancel", reason="typed <later>")

    assert answer.status == 409
    refused = (
        "Cancel: it must be Processing or Pending; it is Cancelling. Nothing else is possible now."
    )
    assert refused in answer.alert
    assert "Cancelling" in answer.text


def test_a_reason_that_is_missing_is_asked_for(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")

    answer = _send(browser, at, f"{at}/cancel")

    assert answer.status == 422
    assert "needs a reason" in answer.alert
    assert f"{at}/cancel" in answer.forms


def test_a_viewer_sees_why_and_a_forged_form_of_theirs_is_refused(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("viewer")
    page = browser.get(at)

    forged = browser.post(f"{at}/cancel", page.forms["/sign-out"] | {"reason": "mine"})

    assert f"{at}/cancel" not in page.forms
    assert "Only its submitter, an operator or an admin may cancel a batch" in page.text
    assert (forged.status, executions("batch")) == (403, executions("batch"))
    assert batches.get(batch.batch_id, browser.function.SITE.now()).state == "processing"


def test_an_event_that_does_not_exist_is_not_found(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("admin")
    fields = browser.get(at).forms["/sign-out"]

    assert browser.post(f"{at}/explode", fields | {"reason": "x"}).status == 404


def test_requeue_these_previews_exactly_the_failed_jobs_of_a_group(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    for number in (0, 1):
        a_job(batch, number, "failed")
    a_job(batch, 2, "failed", failure_code="TIMEOUT")
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")

    preview = _send(browser, at, f"{at}/operations", code="PAYLOAD_NOT_FOUND")

    assert preview.status == 200
    assert "Requeue 2 jobs?" in preview.text


def test_a_confirmed_requeue_leads_to_its_operation(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    failed = [a_job(batch, number, "failed") for number in (0, 1)]
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    listed = browser.get(f"{at}/jobs?state=failed")
    fields = {"event": "requeue", "job_id": failed[1].address.job_id}
    chosen = listed.forms[f"{at}/operations"] | fields
    preview = browser.post(f"{at}/operations", chosen)

    answer = browser.submit(preview, f"{at}/operations", reason="the server is back")

    assert answer.location.startswith(f"{at}/operations/")
    shown = browser.get(answer.location)
    assert "the server is back" in shown.text
    assert "Requeue: 1 job" in shown.text


def test_a_requeue_of_nothing_says_so_on_the_batch(browser: Browser) -> None:
    batch = a_batch("completed", entries=5)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    fields = browser.get(at).forms["/sign-out"]

    answer = browser.post(f"{at}/operations", fields)

    assert answer.status == 409
    assert "cannot requeue jobs of it" in answer.alert


def test_the_state_of_a_thing_leads_to_its_lifecycle(browser: Browser) -> None:
    batch = a_batch("processing", entries=1)
    job = a_job(batch, 0, "failed")
    schedule = a_schedule()
    browser.sign_in("admin")

    for address, lifecycle in (
        (f"/batches/{batch.batch_id}", "/lifecycles/batch?state=processing"),
        (f"/jobs/{job.address.job_id}", "/lifecycles/job?state=failed"),
        (f"/schedules/{schedule.schedule_id}", "/lifecycles/schedule?state=active"),
    ):
        assert f'href="{lifecycle}"' in browser.get(address).html
        assert "that you came from" in browser.get(lifecycle).text


def test_a_job_says_how_long_it_is_kept_with_utc_next_to_the_readers_time(
    browser: Browser,
) -> None:
    ended = a_batch("completed", entries=1)
    still_open = a_batch("processing", entries=1)
    browser.sign_in("viewer")
    browser.cookies["zone"] = "Europe/Berlin"

    kept, not_yet = (
        browser.get(f"/jobs/{a_job(batch, 0, 'failed').address.job_id}").text
        for batch in (ended, still_open)
    )

    until = HOUR_AGO + timedelta(days=90)
    assert f"Kept until {until + timedelta(hours=1):%Y-%m-%d %H:%M:%S} CET" in kept
    assert f"{until:%Y-%m-%d %H:%M:%S} UTC" in kept
    assert "Kept until" not in not_yet


def test_a_batch_names_the_digest_and_the_version_of_its_manifest(browser: Browser) -> None:
    batch = a_batch("processing", entries=1, manifest_sha256="ab" * 32)
    browser.sign_in("viewer")

    text = browser.get(f"/batches/{batch.batch_id}").text

    assert f"SHA-256 of the manifest {'ab' * 32}" in text
    assert "Version id in S3 v1" in text


def test_a_job_is_requeued_from_its_page(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    job = a_job(batch, 1, "failed")
    at = f"/jobs/{job.address.job_id}"
    browser.sign_in("operator")

    answer = _send(browser, at, f"{at}/requeue", reason="again")

    assert answer.location == at
    requeued = jobs.find(job.address)
    assert requeued is not None
    assert requeued.state == "scheduled"
    reason = "It must be Failed; it is Pending."  # as the page calls scheduled
    assert reason in browser.get(at).text


def _holds(browser: Browser) -> list[str]:
    site = browser.function.SITE

    actor = Actor("x", "x", frozenset({"admin"}))
    found = hold_queries.list_holds(QueryContext(site.settings, site.s3, actor, site.now()))
    return [each.scope for each in found]


def test_a_hold_is_placed_and_lifted(browser: Browser) -> None:
    browser.sign_in("operator")

    placed = _send(
        browser, "/holds", "/holds", kind="collection", name="maps", reason="the store is full"
    )

    assert (placed.location, _holds(browser)) == ("/holds", ["collection:maps"])
    page = browser.get("/holds")
    assert "Collection maps" in page.text
    lifted = browser.submit(page, "/holds/collection%3Amaps/lift")
    assert (lifted.location, _holds(browser)) == ("/holds", [])


def test_a_hold_says_what_it_stops(browser: Browser) -> None:
    browser.sign_in("operator")
    _send(browser, "/holds", "/holds", kind="collection", name="maps", reason="the store is full")
    assert "nothing yet" in browser.get("/holds").text
    a_batch("held")

    assert "1 batch the store is full" in browser.get("/holds").text

    browser.submit(browser.get("/holds"), "/holds/collection%3Amaps/lift")


def test_a_refused_lift_keeps_what_was_typed_at_the_decoded_path(browser: Browser) -> None:
    """The gateway passes a path on decoded, and the page's address is encoded."""
    browser.sign_in("operator")
    _send(browser, "/holds", "/holds", kind="collection", name="maps", reason="the store is full")
    fields = browser.get("/holds").forms["/holds/collection%3Amaps/lift"]

    refused = browser.post("/holds/collection:maps/lift", fields | {"reason": "long " * 120})

    assert refused.status == 422
    sheet = refused.html.partition('<div class="sheet" id="event-lift-collection-maps">')[2]
    assert "long long" in sheet.partition("</form>")[0]
    assert _holds(browser) == ["collection:maps"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "collection", "name": "no such!"}, "is not a scope of a hold"),
        ({"kind": "collection", "name": "maps", "reason": ""}, "needs a reason"),
        ({"kind": "collection", "name": "maps", "until": "soon"}, "a date with a time"),
    ],
)
def test_a_hold_that_cannot_be_placed_says_why_and_keeps_what_was_typed(
    browser: Browser, fields: dict[str, str], words: str
) -> None:
    browser.sign_in("operator")

    answer = _send(browser, "/holds", "/holds", **({"reason": "typed words"} | fields))

    assert answer.status == 422
    assert words in answer.alert
    assert f'value="{fields["name"]}"' in answer.html
    assert _holds(browser) == []


def test_a_hold_ends_at_the_time_on_the_readers_clock(browser: Browser) -> None:
    browser.sign_in("operator")
    browser.cookies["zone"] = "America%2FLos_Angeles"

    _send(
        browser,
        "/holds",
        "/holds",
        kind="everything",
        until="2026-12-24T18:00",
        reason="the holidays",
    )

    assert "2026-12-24 18:00:00 PST" in browser.get("/holds").text
    browser.cookies["zone"] = "Europe%2FBerlin"
    assert "2026-12-25 03:00:00 CET" in browser.get("/holds").text


def test_a_report_is_sent_again_with_a_reason(browser: Browser) -> None:
    batch = a_batch("failed", entries=2)
    a_report(batch, 1)
    at = f"/batches/{batch.batch_id}/reports"
    browser.sign_in("admin")

    answer = _send(browser, at, f"{at}/1/resend", reason="they lost it")

    assert (answer.status, answer.location) == (303, at)
    assert reports.get(batch.batch_id, 1).delivery.state == "queued"
    again = browser.submit(browser.get(at), "/sign-out")
    assert again.status == 303


def test_an_operator_sees_who_may_send_a_report_again(browser: Browser) -> None:
    batch = a_batch("failed", entries=2)
    a_report(batch, 1)
    at = f"/batches/{batch.batch_id}/reports"
    browser.sign_in("operator")
    page = browser.get(at)

    forged = browser.post(f"{at}/1/resend", page.forms["/sign-out"] | {"reason": "x"})

    assert "Only an admin may send again a report of a batch" in page.text
    assert forged.status == 403


def test_what_changed_between_two_reports_is_listed(browser: Browser) -> None:
    batch = a_batch("failed", entries=3)
    a_report(batch, 1, outcomes="sff")
    a_report(batch, 2, outcomes="ssf")
    browser.sign_in("viewer")

    page = browser.get(f"/batches/{batch.batch_id}/reports/2/changes")

    assert page.status == 200
    assert "Report 2, compared with report 1" in page.text
    assert page.html.count("<tr id=") == 1
    assert "Failed Completed" in page.text  # as on all pages, not "Succeeded"


def test_the_jobs_before_and_after_are_those_of_the_filter(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    for number, state in enumerate(("failed", "succeeded", "failed", "held", "failed")):
        a_job(batch, number, state)
    browser.sign_in("viewer")

    page = browser.get(f"/jobs/{batch.batch_id}.1.0?state=failed")

    assert f'rel="prev" href="/jobs/{batch.batch_id}.0.0?state=failed"' in page.html
    assert f'rel="next" href="/jobs/{batch.batch_id}.2.0?state=failed"' in page.html


def test_jobs_are_filtered_by_code_step_and_name(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    a_job(batch, 0, "failed")
    a_job(batch, 1, "failed", failure_code="TIMEOUT")
    at = f"/batches/{batch.batch_id}/jobs"
    browser.sign_in("viewer")

    def shown(query: str) -> int:
        return browser.get(f"{at}?{query}").html.count("<tr id=")

    assert shown("code=TIMEOUT") == 1
    assert shown("step=downloading") == 2
    assert shown("name=4") == 1
    assert shown("code=NO_SUCH_CODE") == 5


def test_a_dropped_manifest_has_no_submitter(browser: Browser) -> None:
    batch = a_batch("completed", submitter="s3", submitter_sub="")
    browser.sign_in("viewer")

    for address in ("/batches", f"/batches/{batch.batch_id}"):
        assert "dropped in the intake bucket" in browser.get(address).text


def test_the_columns_of_a_list_of_jobs_stay_in_its_addresses(browser: Browser) -> None:
    batch = a_batch("failed", entries=150, chunk_size=50)
    a_job(batch, 0, "failed")
    at = f"/batches/{batch.batch_id}/jobs"
    browser.sign_in("viewer")

    usual = browser.get(at)
    chosen = browser.get(f"{at}?columns=id&columns=attempts&columns=nonsense")

    assert "What happened" in _headings(usual)
    assert "columns=" not in usual.html.replace('name="columns"', "")
    assert _headings(chosen) == ["File or object", "Attempts", "Job id"]
    assert f'href="{at}?columns=attempts.id&amp;cursor=' in chosen.html
    assert f'href="{at}?state=failed&amp;columns=attempts.id"' in chosen.html
    assert '<input type="hidden" name="columns" value="attempts.id">' in chosen.html
    again = browser.get(f"{at}?columns=attempts.id&state=failed")
    assert _headings(again) == _headings(chosen)
    assert '<input type="hidden" name="state" value="failed">' in again.html


def _headings(page: Page) -> list[str]:
    return re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', page.html)


def _of_bulk(browser: Browser, at: str, **fields: object) -> Page:
    form = browser.get(f"{at}/jobs?state=failed").forms[f"{at}/operations"]
    given = {name: value for name, value in form.items() if name not in {"job_id", "all_matching"}}
    return browser.post(f"{at}/operations", given | {"event": "requeue"} | fields)


def test_all_that_match_are_all_even_those_on_other_pages(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    for number in range(4):
        a_job(batch, number, "failed")
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")

    chosen = _of_bulk(browser, at, job_id=[f"{batch.batch_id}.0.0"])
    matching = _of_bulk(browser, at, job_id=[f"{batch.batch_id}.0.0"], all_matching="1")

    assert "Requeue 1 job?" in chosen.text
    assert "Requeue 4 jobs?" in matching.text


def test_an_event_to_nothing_selected_changes_nothing(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    a_job(batch, 0, "failed")
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")

    answer = _of_bulk(browser, at)

    assert answer.status == 422
    assert "Select some jobs, or all that match" in answer.alert
    assert f'href="{at}/jobs?state=failed"' in answer.html
    assert "confirmed" not in answer.forms.get(f"{at}/operations", {})


@pytest.mark.parametrize(
    ("state", "events"),
    [
        ("scheduled", ["hold", "force_fail", "cancel"]),
        ("held", ["release", "cancel", "delete"]),
        ("running", ["force_fail", "cancel"]),
        ("failed", ["requeue", "delete"]),
        ("succeeded", []),
    ],
)
def test_a_list_of_one_state_has_the_events_of_this_state(
    state: str, events: list[str], browser: Browser
) -> None:
    batch = a_batch("processing", entries=4)
    a_job(batch, 0, state)
    at = f"/batches/{batch.batch_id}/jobs"

    browser.sign_in("operator")
    shown = browser.get(f"{at}?state={state}").html

    assert re.findall(r'<button form="bulk" name="event" value="(\w+)"', shown) == events
    unfiltered = browser.get(at)
    assert 'form="bulk"' not in unfiltered.html
    assert "To change many jobs at once, choose a state" in unfiltered.text
    browser.sign_in("viewer")
    assert 'form="bulk"' not in browser.get(f"{at}?state={state}").html
    assert "To change many jobs" not in browser.get(at).text


def test_the_held_jobs_that_are_selected_are_cancelled_by_one_operation(browser: Browser) -> None:
    batch = a_batch("processing", entries=4)
    held = [a_job(batch, number, "held") for number in range(3)]
    at = f"/batches/{batch.batch_id}"
    chosen = [each.address.job_id for each in held[1:]]
    browser.sign_in("operator")

    fields = browser.get(f"{at}/jobs?state=held").forms[f"{at}/operations"]
    fields = {name: value for name, value in fields.items() if name != "all_matching"}
    preview = browser.post(f"{at}/operations", fields | {"event": "cancel", "job_id": chosen})
    fields = preview.forms[f"{at}/operations"] | {"job_id": chosen, "reason": "wrong files"}
    answer = browser.post(f"{at}/operations", fields)

    assert "Cancel 2 jobs? The 2 selected jobs." in preview.text
    assert f"{at}/cancel" not in preview.forms
    operation = browser.get(answer.location)
    assert "Cancel: 2 jobs" in operation.text
    assert 'aria-current="page">History' in operation.html
    assert "wrong files" in operation.text
    history = browser.get(f"{at}/history")
    assert f'href="{answer.location}"' in history.html


def test_every_event_of_a_job_has_a_text_for_many() -> None:
    assert [button_for_many("b", event).name for event in JOB.people_events()]


def test_an_operation_shows_the_name_of_each_job_and_its_outcome(browser: Browser) -> None:
    batch = a_batch("processing", entries=4)
    for number in (0, 1):
        a_job(batch, number, "held")
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    preview = browser.post(
        f"{at}/operations",
        browser.get(at).forms["/sign-out"] | {"event": "release", "state": "held"},
    )
    address = browser.submit(preview, f"{at}/operations", reason="the disks are back").location
    operation = operations.get(batch.batch_id, address.rpartition("/")[2])
    site = browser.function.SITE
    job_ids = [f"{batch.batch_id}.0.{position}" for position in (0, 1)]
    outcomes = [JobOutcome(job_ids[0], ACCEPTED), JobOutcome(job_ids[1], REFUSED, "it is too late")]
    rows.put_outcomes(site.s3, site.settings, operation, 0, outcomes)

    shown = browser.get(address)

    assert f'<a href="/jobs/{job_ids[1]}">1</a>' in shown.html
    assert "Held" in shown.text
    assert "Refused it is too late" in shown.text


def _an_operation(browser: Browser, batch: Batch, number: int = 1, **changes: Any) -> Operation:
    """An operation on the jobs of three chunks, which has ended: all jobs of the first two refuse
    it, one job of the third accepts it.
    """
    given = Operation(
        *(batch.batch_id, f"r{number:012d}", "requeue", Filter(JobState.FAILED), "operator"),
        *("the disks are back", HOUR_AGO, 2 * batch.chunk_size + 1, (0, 1, 2)),
        state=OperationState.DONE,
        ended_at=HOUR_AGO,
        outcomes={REFUSED: 2 * batch.chunk_size, ACCEPTED: 1},
    )
    operation = operations.put_new(replace(given, **changes), batch.state)
    site = browser.function.SITE
    for chunk in (0, 1):
        job_ids = [f"{batch.batch_id}.{chunk}.{each}" for each in range(batch.chunk_size)]
        outcomes = [JobOutcome(each, REFUSED, "it is too late") for each in reversed(job_ids)]
        rows.put_outcomes(site.s3, site.settings, operation, chunk, outcomes)
        progress = RunProgress(1, outcomes={REFUSED: batch.chunk_size})
        runs = {operation.operation_id: progress}
        chunks.put(ChunkRecord(batch.batch_id, chunk, runs=runs))
    job = a_job(batch, 2 * batch.chunk_size, "failed")
    accepted = [JobOutcome(job.address.job_id, ACCEPTED)]
    rows.put_outcomes(site.s3, site.settings, operation, 2, accepted)
    return operation


def test_the_outcomes_of_an_operation_are_counted_filtered_and_listed_by_hundreds(
    browser: Browser,
) -> None:
    batch = a_batch("failed", entries=300, chunk_size=75)
    at = f"/batches/{batch.batch_id}/operations/{_an_operation(browser, batch).operation_id}"
    browser.sign_in("viewer")

    first = browser.get(at)
    refused = browser.get(f"{at}?outcome=refused")
    second = browser.get(_address_of(refused, "Next page"))
    accepted = browser.get(f"{at}?outcome=accepted")

    assert "All jobs 151 Refused 150 Accepted 1" in first.text
    pages = [refused.text.count("it is too late"), second.text.count("it is too late")]
    assert [first.text.count("it is too late"), *pages] == [100, 100, 50]
    assert "Next page" not in second.text
    assert accepted.text.count("it is too late") == 0
    assert f"{batch.batch_id}.2.0" in accepted.html


def test_the_outcomes_of_an_operation_are_downloaded_as_csv(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("failed", entries=6)
    operation = _an_operation(browser, batch)
    browser.sign_in("viewer")
    at = f"/batches/{batch.batch_id}/operations/{operation.operation_id}"
    address = _address_of(browser.get(at), "Download as CSV")

    whole = browser.get(address)
    monkeypatch.setattr(job_csv, "MAX_ROWS", 2)
    monkeypatch.setattr(job_csv, "_OUTCOMES_PER_READ", 2)
    part = browser.get(f"{address}?outcome=refused")
    following = part.html.splitlines()[-1].rpartition(" ")[2]

    assert whole.headers["content-type"] == "text/csv; charset=utf-8"
    read = [*csv.DictReader(io.StringIO(whole.html))]
    assert [(each["name"], each["outcome"], each["state"]) for each in read] == [
        *((str(number), "refused", "") for number in range(4)),
        ("4", "accepted", "failed"),
    ]
    assert [part.html.count("too late"), browser.get(following).html.count("too late")] == [2, 2]


def test_older_operations_are_on_the_next_page_of_the_history(browser: Browser) -> None:
    batch = a_batch("failed", entries=6)
    for number in range(22):
        at, reason = HOUR_AGO + timedelta(seconds=number), f"reason {number}."
        given = Operation(
            *(batch.batch_id, f"r{number:012d}", "requeue", Filter(JobState.FAILED), "operator"),
            *(reason, at, 1, (0,), OperationState.DONE, at),
        )
        operations.put_new(given, batch.state)
    browser.sign_in("viewer")

    first = browser.get(f"/batches/{batch.batch_id}/history")
    older = browser.get(_address_of(first, "Next page"))

    assert ("reason 21." in first.text, "reason 1." in first.text) == (True, False)
    assert [each for each in range(22) if f"reason {each}." in older.text] == [0, 1]


def test_a_state_has_one_name_in_counts_filters_and_lists(browser: Browser) -> None:
    batch = a_batch("processing", entries=3)
    a_job(batch, 0, "succeeded")
    at = f"/batches/{batch.batch_id}/jobs"
    browser.sign_in("viewer")

    shown = browser.get(at)

    assert shown.text.count(" Completed ") >= 3
    assert "Succeeded" not in shown.text
    assert '<option value="scheduled">Pending</option>' in shown.html
    assert '<option value="paused">' not in shown.html
    assert '<option value="held" selected>Held</option>' in browser.get(f"{at}?state=held").html


def test_the_timeline_of_a_failed_job_ends_when_it_failed(browser: Browser) -> None:
    batch = a_batch("failed", entries=1)
    job = a_job(batch, 0, "failed")
    browser.sign_in("viewer")

    shown = browser.get(f"/jobs/{job.address.job_id}").html

    picture = shown[shown.index('class="picture timeline"') :].partition("</svg>")[0]
    start, end = re.findall(r">([-\d]+ [\d:]+ UTC)<", picture)
    assert start == end


def test_a_refused_manifest_leads_to_the_upload_of_a_corrected_one(browser: Browser) -> None:
    batch = a_batch("failed", failure_message="the manifest has 2 errors")
    at = f"/batches/{batch.batch_id}"
    link = 'href="/batches/new?collection=maps"'

    assert link in browser.sign_in("depositor").get(at).html
    assert link not in browser.sign_in("viewer").get(at).html


def test_the_reason_why_an_event_is_closed_names_the_event(browser: Browser) -> None:
    batch = a_batch("processing", entries=1)
    browser.sign_in("operator")

    shown = browser.get(f"/batches/{batch.batch_id}").html

    sheet = shown[shown.index('id="event-release" popover') :].partition("</div>")[0]
    assert "<h2>Release</h2>" in sheet
    assert 'id="event-release-why"' in sheet


def test_home_says_that_there_may_be_more_failures_than_were_read(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "FAILED_READ", 1)
    for _ in range(2):
        a_job(a_batch("failed", entries=2), 0, "failed")
    browser.sign_in("viewer")

    shown = browser.get("/").text

    assert re.search(r"\d\+ failed jobs in \d\+ batches", shown)
    assert re.search(r"\d\+ PAYLOAD_NOT_FOUND in \d\+ batches", shown)


def test_all_jobs_with_a_name_are_changed_not_only_those_of_the_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("processing", entries=130, chunk_size=10)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    listed = browser.get(f"{at}/jobs?state=scheduled&name=1")
    form = listed.forms[f"{at}/operations"] | {"event": "cancel", "all_matching": "1"}

    preview = browser.post(f"{at}/operations", form)
    monkeypatch.setattr(batch_operations, "MAX_CHUNKS_COUNTED", 3)
    many = browser.post(f"{at}/operations", form)
    none = browser.post(f"{at}/operations", form | {"name": "nowhere"})
    fields = many.forms[f"{at}/operations"] | {"reason": "wrong files"}
    started = browser.get(browser.post(f"{at}/operations", fields).location)

    assert "All that match, on all pages" in listed.text
    assert sum("1" in str(number) for number in range(130)) == 49
    assert "Cancel 49 jobs? All pending jobs of this batch with “1” in the name" in preview.text
    assert "There are 12 in the first 3 chunks of the batch with pending jobs" in many.text
    assert "Cancel: all jobs that match" in started.text
    assert "There are 0 in the first 3 chunks" in none.text
    history = browser.get("/activity").text
    assert "many jobs" in history


def test_an_operation_on_one_job_names_its_batch_and_leads_there(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    a_job(batch, 0, "failed")
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    fields = _of_bulk(browser, at, all_matching="1").forms[f"{at}/operations"]
    browser.post(f"{at}/operations", fields | {"reason": "the server is back"})

    assert f'<a href="{at}">may.checkm</a>' in browser.get("/activity").html


def test_a_search_says_that_more_was_found_and_leads_to_all_of_it(browser: Browser) -> None:
    for number in range(12):
        a_batch("completed", filename=f"plan-{number}.csv")
    browser.sign_in("viewer")

    page = browser.get("/find?q=plan")
    rest = browser.get("/find?q=plan&kind=batch")

    assert "Only the first 10 batches are listed." in page.text
    assert 'href="/find?q=plan&amp;kind=batch"' in page.html
    assert (page.html.count('href="/batches/b'), rest.html.count('href="/batches/b')) == (10, 12)
    assert 'href="/find?q=plan"' in rest.html


def test_a_failure_group_says_when_its_jobs_failed_first_and_last(browser: Browser) -> None:
    batch = a_batch("failed", entries=5)
    a_job(batch, 0, "failed")
    job = a_job(batch, 1, "failed")
    browser.sign_in("viewer")
    at = f"/batches/{batch.batch_id}"

    same = browser.get(at).text
    later = replace(job, at=NOW - timedelta(minutes=5), version=job.version + 1, cause="again")
    jobs.apply(job, later, batch.state)
    grown = [browser.get(address).text for address in (at, "/")]

    assert "Seen 1 h ago" in same
    for shown in grown:
        assert "First seen 1 h ago , last seen 5 min ago" in shown


@pytest.mark.parametrize("seq", ["1", "2"])
def test_a_report_has_an_address_of_its_own(browser: Browser, seq: str) -> None:
    batch = a_batch("completed", entries=1, last_report=2)
    for number in (1, 2):
        a_report(batch, number)
    at = f"/batches/{batch.batch_id}/reports"
    browser.sign_in("viewer")

    answer = browser.get(f"{at}/{seq}")

    assert (answer.status, answer.location) == (303, f"{at}#report-{seq}")
    assert f'id="report-{seq}"' in browser.get(at).html


@pytest.mark.parametrize("seq", ["3", "0", "x", "01"])
def test_a_report_that_there_is_not_has_a_page_that_says_so(browser: Browser, seq: str) -> None:
    batch = a_batch("completed", entries=1, last_report=1)
    a_report(batch, 1)
    browser.sign_in("viewer")

    answer = browser.get(f"/batches/{batch.batch_id}/reports/{seq}")

    assert (answer.status, f"has no report {seq}" in answer.text) == (404, True)


def test_the_parameters_of_a_batch_are_shown_without_secrets(browser: Browser) -> None:
    parameters = {"url": "https://ours.example.org/hooks?token=s3cret", "method": "PUT"}
    batch = a_batch("processing", entries=1, job_type="http", parameters=parameters)
    browser.sign_in("operator")

    text = browser.get(f"/batches/{batch.batch_id}").text

    assert "Parameters of all jobs" in text
    assert "PUT" in text
    assert "s3cret" not in text
