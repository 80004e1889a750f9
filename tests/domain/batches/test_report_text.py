"""The text of a report, which no input can forge or break."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.report import (
    OUTCOME_LETTERS,
    OUTCOME_WORDS,
    OUTCOMES,
    FailureGroup,
    ReportKind,
)
from jobyard.domain.batches.report_text import ReportContent, ReportedJob, StoredObject, mail_of
from jobyard.domain.cost import Usage, price_usage
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JobState
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.text import is_clean

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def content(**changes: object) -> ReportContent:
    batch = Batch(
        "babc",
        BatchState.REPORTING,
        3,
        "maps",
        "operator",
        "deposit",
        "may.checkm",
        NOON,
        entries=3,
        chunk_size=100,
    )
    values: dict[str, object] = {
        "batch": batch,
        "kind": ReportKind.FIRST,
        "seq": 1,
        "at": NOON,
        "instance": "",
        "counts": {"succeeded": 3},
        "groups": (),
        "jobs": (),
        "more_jobs": 0,
        "findings": (),
        "more_findings": 0,
        "cost": price_usage(Usage(write_units=2053, transitions=36, invocations=15)),
        "link": "https://example.org/api/batches/babc/reports",
    }
    return ReportContent(**(values | changes))  # type: ignore[arg-type]


def render_text(content: ReportContent) -> str:
    """The mail as plain text."""
    return mail_of(content).as_text()


def render_html(content: ReportContent) -> str:
    """The mail as HTML."""
    return mail_of(content).as_html()


FAILED = content(
    counts={"succeeded": 2, "failed": 1},
    groups=(FailureGroup("TIMEOUT", "Too slow.", 1),),
    jobs=(ReportedJob("babc.0.2", "<b>c.tif</b>", "failed", "", "after 9 s"),),
)


def test_the_subject_says_ok_or_fail() -> None:
    assert content().subject == "Jobyard: OK -- Submission processed: babc"
    assert FAILED.subject == "Jobyard: FAIL -- Submission processed: babc"
    assert "Jobyard [demo]: OK" in content(instance="demo").subject


def test_only_a_batch_without_refusal_cancel_failure_or_open_job_is_ok() -> None:
    batch = content().batch
    cancelled = HistoryEntry("cancel", "processing", "cancelling", NOON, "operator", "r1")

    assert content(counts={"succeeded": 1, "cancelled": 2}).outcome == "OK"
    assert content(batch=replace(batch, failure_message="refused")).outcome == "FAIL"
    assert content(batch=replace(batch, history=(cancelled,))).outcome == "FAIL"
    assert content(counts={"succeeded": 1, "waiting": 1}).outcome == "FAIL"
    assert content(counts={"succeeded": 1, "failed": 1}).outcome == "FAIL"
    assert content(counts={"succeeded": 0, "deleted": 3}).outcome == "FAIL"
    assert content(counts={"cancelled": 3}).outcome == "FAIL"


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"succeeded": 3}, "All jobs of your submission are done."),
        ({"succeeded": 2, "deleted": 1}, "; 1 was cancelled or deleted."),
        ({"succeeded": 1, "deleted": 1, "cancelled": 1}, "; 2 were cancelled or deleted."),
        ({"succeeded": 0, "deleted": 3}, "All jobs of your submission were cancelled or deleted"),
        ({"succeeded": 2, "failed": 1}, "not all jobs succeeded"),
    ],
)
def test_the_first_line_agrees_with_the_counts(counts: dict[str, int], line: str) -> None:
    assert line in render_text(content(counts=counts)).splitlines()[0]
    assert line in render_html(content(counts=counts))


@pytest.mark.parametrize("entries", [0, 3])
def test_a_cancelled_batch_says_who_cancelled_it_when_and_why(entries: int) -> None:
    cancel = HistoryEntry(
        "cancel", "processing", "cancelling", NOON, "jo", "r1", "the wrong shelf\nJobs: 3 succeeded"
    )
    batch = replace(
        content().batch, entries=entries, history=(cancel,), failure_message="before it was read"
    )
    for words in (render_text(content(batch=batch)), render_html(content(batch=batch))):
        assert "Your submission was cancelled." in words
        assert "2026-11-22 12:00:00 UTC by jo: the wrong shelf" in words
        assert "\nJobs: 3 succeeded" not in words


def test_the_mail_lists_the_undeliverable_addresses() -> None:
    undeliverable = tuple(
        UndeliverableRecipient(f"jane {number} at home", "there is no @") for number in range(2)
    )
    words = render_text(content(batch=replace(content().batch, undeliverable=undeliverable)))

    assert "No mail to:  jane 0 at home: there is no @" in words
    assert "No mail to:  jane 1 at home: there is no @" in words


FORGED = "a\r\nJobs:        100 succeeded\x1b[2J\u202egnp.exe\u2028x\ud800"


@pytest.mark.parametrize(
    "field", ["filename", "collection", "submitter", "failure_message", "duplicate_of"]
)
def test_no_text_of_a_batch_forges_a_line_of_the_mail(field: str) -> None:
    _holds_no_forged_line(content(batch=replace(content().batch, **{field: FORGED})))


@pytest.mark.parametrize(
    "changes",
    [
        {"jobs": (ReportedJob("babc.0.2", FORGED, "failed", "", FORGED),)},
        {"findings": (FORGED,)},
        {"instance": FORGED},
    ],
)
def test_no_text_of_a_job_or_a_finding_forges_a_line_of_the_mail(
    changes: dict[str, object],
) -> None:
    _holds_no_forged_line(content(**changes))


def _holds_no_forged_line(mail: ReportContent) -> None:
    plain = content(jobs=mail.jobs and FAILED.jobs, findings=mail.findings and ("x",))
    for words, honest in (
        (render_text(mail), render_text(plain)),
        (render_html(mail), render_html(plain)),
    ):
        words.encode()
        assert not set("\r\x1b\u202e\u2028") & set(words)
        assert words.count("\n") <= honest.count("\n") + 2  # at most one more fact
        assert not any(line.startswith("Jobs:        100") for line in words.splitlines())
    assert is_clean(mail.subject)


def test_a_long_name_does_not_fill_the_mail() -> None:
    long = content(jobs=(ReportedJob("babc.0.2", "x" * 50_000, "failed", "", "y" * 50_000),))

    assert len(render_text(long)) < 2_000
    assert len(render_html(long)) < 5_000


def test_the_mail_counts_groups_and_names_the_failures() -> None:
    words = render_text(FAILED)

    assert "2 completed, 1 failed" in words
    assert "1 x TIMEOUT: Too slow." in words
    assert "<b>c.tif</b>: failed (after 9 s) [babc.0.2]" in words


def test_an_update_says_what_changed() -> None:
    update = content(
        kind=ReportKind.UPDATE, jobs=(ReportedJob("babc.0.2", "c.tif", "succeeded", "failed"),)
    )

    assert "c.tif: failed -> succeeded" in render_text(update)
    assert "(update)" in update.subject


def test_text_from_outside_is_escaped_in_html() -> None:
    html = render_html(FAILED)

    assert "<b>c.tif" not in html
    assert "&lt;b&gt;c.tif" in html


def test_every_job_state_has_a_letter_and_a_label() -> None:
    assert set(OUTCOME_LETTERS) == set(JobState)
    assert set(OUTCOME_LETTERS.values()) == set(OUTCOMES)
    assert set(OUTCOMES.values()) <= set(OUTCOME_WORDS)


def test_a_depositor_sees_what_was_stored_in_the_mail_and_on_the_page() -> None:
    stored = [
        StoredObject("coast.tif", "ark:/99999/jabc", "2", "m-1; map 1"),
        StoredObject("<b>.tif", "ark:/99999/jdef", "1"),
    ]
    report = content(stored=stored, more_stored=3)

    text, page = render_text(report), render_html(report)
    assert "  coast.tif: ark:/99999/jabc version 2 (m-1; map 1)\n" in text
    assert "  <b>.tif: ark:/99999/jdef version 1\n" in text
    assert "and 3 more; jobs.csv lists all" in text
    for cell in ("coast.tif", "ark:/99999/jabc", "2", "m-1; map 1", "&lt;b&gt;.tif"):
        assert f"<td>{cell}</td>" in page
