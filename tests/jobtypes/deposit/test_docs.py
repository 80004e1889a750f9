"""docs/deposit.md says what the code does."""

import re
from pathlib import Path

import pytest

from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.jobtypes.deposit import DEPOSIT, container_limits, content, file_list
from jobyard.jobtypes.http_client import Timeouts, failure_of
from jobyard.jobtypes.http_client.addresses import PORTS
from jobyard.jobtypes.http_client.client import MAX_REDIRECTS

DOC = (Path(__file__).parents[3] / "docs/deposit.md").read_text()
OF_ANY_JOB = {
    Failure.WORKER_LOST,
    Failure.NO_WORKER,
    Failure.UNWRITABLE,
    Failure.JOB_TYPE_GONE,
    Failure.FORCED,
}
OF_SWEEPS = {
    Failure.BAD_PARAMETERS,
    Failure.TABLE_NOT_ALLOWED,
    Failure.TABLE_BUSY,
    Failure.RECORDS_FAILED,
}
OF_CAMPAIGNS = {
    Failure.DEVICE_OFFLINE,
    Failure.DEVICE_BUSY,
    Failure.DEVICE_FORBIDDEN,
    Failure.DEVICE_ERROR,
    Failure.INCOMPATIBLE,
    Failure.VERIFY_FAILED,
    Failure.EXPIRED,
}
OF_CALLS = {
    Failure.CALL_REFUSED,
    Failure.CALL_FAILED,
    Failure.CALL_BUSY,
    Failure.CALL_UNANSWERED,
    Failure.CALL_NOT_ALLOWED,
    Failure.CALLBACK_LOST,
}


def test_every_failure_is_documented_with_its_description_and_retry_rule() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (yes|no) \|$", DOC, re.MULTILINE)

    expected = [
        (code.value, code.description, "yes" if code in RETRYABLE else "no")
        for code in Failure
        if code not in OF_ANY_JOB | OF_SWEEPS | OF_CAMPAIGNS | OF_CALLS
    ]
    assert rows == expected


def test_the_waits_of_the_retry_policy_are_documented() -> None:
    waits = [DEPOSIT.retry.wait_s(failed) for failed in (1, 2, 3, 4)]

    assert waits == [5, 20, 80, None]
    assert "after 5, 20 and 80 seconds" in DOC


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("a file", content.MAX_FILE_BYTES),
        ("an object, unpacked", container_limits.MAX_OBJECT_BYTES),
        ("files of an object", container_limits.MAX_FILES),
        ("a nested manifest", file_list.NESTED_MANIFEST_BYTES),
        ("what a container unpacks to", container_limits.MAX_RATIO),
        ("a member's path, and a part of it", container_limits.MAX_PATH_BYTES),
    ],
)
def test_every_limit_is_documented(what: str, limit: int) -> None:
    assert f"| {what} | {limit:,} " in DOC


def test_every_step_is_documented_in_order() -> None:
    steps = re.findall(r"^\| `([a-z]+)` \|", DOC, re.MULTILINE)

    assert steps == [name for name, _ in DEPOSIT.steps]


def test_ports_redirects_and_timeouts_are_documented() -> None:
    timeouts = Timeouts()

    assert "ports " + ", ".join(map(str, sorted(PORTS)[:-1])) + f" and {max(PORTS)}" in DOC
    assert ["none", "one", "two", "three", "four", "five"][MAX_REDIRECTS] in DOC
    assert f"{timeouts.connect_s:.0f} seconds to connect, {timeouts.response_s:.0f} for" in DOC
    assert f"eight at once, up to {file_list.MAX_HEAD_REQUESTS:,} files" in DOC
    assert f"{timeouts.min_bytes_per_s // 1024} KiB a second" in DOC


def test_every_status_with_a_code_of_its_own_is_documented() -> None:
    rows = re.findall(r"^\| ([^|`]+) \| `([A-Z_]+)` \|$", DOC, re.MULTILINE)
    documented = {
        int(status): code for what, code in rows for status in re.findall(r"\b[45]\d\d\b", what)
    }

    own = {status: failure_of(status).value for status in range(400, 500)}
    assert documented == {status: code for status, code in own.items() if code != "PAYLOAD_REFUSED"}
