"""docs/calls.md says what the code does."""

import json
import re
from typing import Any

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.jobs.callback import RESULT_BYTES
from jobyard.domain.jobs.job_type import JobType, StepInput
from jobyard.jobtypes.calls import KEPT_BYTES, MAX_ANSWER_BYTES, MAX_WAIT_H, document_of
from jobyard.jobtypes.http_call import HTTP
from jobyard.jobtypes.http_call.plan import MAX_SENT_HEADERS, METHODS
from jobyard.jobtypes.http_client import Timeouts
from jobyard.jobtypes.lambda_call import LAMBDA
from jobyard.jobtypes.lambda_call.plan import INVOCATION_S

PAGE = (ROOT / "docs" / "calls.md").read_text()


@pytest.mark.parametrize("job_type", [HTTP, LAMBDA], ids=lambda each: each.name)
def test_the_page_lists_the_parameters(job_type: JobType[Any]) -> None:
    chapter = re.split(rf"^## {job_type.name}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    table = chapter.split("| parameter | is |")[1].split("\n\n")[0]
    listed = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)

    assert re.findall(r"`(\w+)`", " ".join(listed)) == list(job_type.parameters)


def test_the_page_has_the_limits() -> None:
    for text in (
        f"up to {MAX_WAIT_H:g} |",
        f"up to {KEPT_BYTES:,} bytes as JSON",
        f"The first {MAX_ANSWER_BYTES // 1024} KB of an answer",
        f"up to {MAX_SENT_HEADERS} more headers",
        f"A server has {Timeouts().response_s:g} seconds to answer",
        *(f"`{method}`" for method in METHODS),
    ):
        assert text in PAGE
    assert (INVOCATION_S, RESULT_BYTES) == (5 * 60, KEPT_BYTES)  # "five minutes"


def test_a_call_sends_what_the_page_shows() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    step_input = StepInput(
        shown["batch_id"], shown["job_id"], shown["collection"], shown["row"], {}, {}, attempt=1
    )

    assert document_of(step_input) == shown
