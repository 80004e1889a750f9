"""docs/sweep.md says what the code does."""

import json
import re
from pathlib import Path

from jobyard.domain.jobs.checkpoint import MAX_NAMED_FAILURES
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.sweep.plan import MAX_NAMED_ATTRIBUTES, DueFormat
from jobyard.jobtypes.sweep.steps import BUSY_PAUSE_S, SWEEP_MARGIN_S
from jobyard.jobtypes.sweep.table import MAX_TRIES, PAGE_SIZE
from jobyard.store.checkpoints import CHECKPOINT_LIFETIME

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs/sweep.md").read_text()
PLAIN = " ".join(DOC.split())


def test_every_failure_is_documented_with_its_description_and_retry_rule() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (yes|no) \|$", DOC, re.MULTILINE)

    assert [code for code, _, _ in rows] == [
        Failure.BAD_PARAMETERS,
        Failure.TABLE_NOT_ALLOWED,
        Failure.TABLE_BUSY,
        Failure.RECORDS_FAILED,
    ]
    for code, description, retried in rows:
        assert description == Failure(code).description
        assert retried == ("yes" if code in RETRYABLE else "no")


def test_the_parameters_are_the_examples_and_a_plan() -> None:
    (block,) = re.findall(r"```json\n(.+?)```", DOC, re.DOTALL)
    parameters = json.loads(block)

    assert parameters == json.loads((ROOT / "examples/voters/sweep.json").read_text())
    TYPES["sweep"].check_parameters(parameters)
    fields = re.findall(r"^\| (`[a-z`, ]+`) \|", DOC, re.MULTILINE)
    assert ", ".join(fields).replace("`", "").split(", ") == list(parameters)


def test_formats_words_and_numbers_are_documented() -> None:
    words = TYPES["sweep"].labels
    named = [words[state] for state in ("scheduled", "running", "succeeded", "failed")]

    assert all(f"`{form}`" in DOC for form in DueFormat)
    assert f"states: {', '.join(named)}." in PLAIN
    assert f"Up to {PAGE_SIZE} records" in PLAIN
    assert f"the first {MAX_NAMED_FAILURES} of them" in PLAIN
    assert f"Up to {MAX_NAMED_ATTRIBUTES} attributes" in PLAIN
    assert f"up to {MAX_TRIES} times" in PLAIN
    assert f"with {SWEEP_MARGIN_S:.0f} seconds left" in PLAIN
    assert f"waits {BUSY_PAUSE_S:.0f} seconds" in PLAIN
    assert f"for {CHECKPOINT_LIFETIME.days} days" in PLAIN
    waits = [TYPES["sweep"].retry.wait_s(failed) for failed in (1, 2, 3, 4)]
    assert waits == [5, 20, 80, None]
