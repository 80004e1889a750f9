"""The end of `jobyard watch`: the result, the reports and the next commands."""

import pytest

from cli import batch_result
from cli.client import ApiClient
from tests.cli.fake_api import BATCH, NOW, FakeApi, batch, report
from tests.cli.test_progress import drawn, log


def test_watch_ends_with_the_report_and_the_next_commands(api: FakeApi, client: ApiClient) -> None:
    console = log()
    bounced = {"state": "bounced", "at": NOW, "message_id": "m", "error": "mailbox full"}
    api.answers(
        f"GET /batches/{BATCH}/reports", {"items": [report(), report(seq=2, delivery=bounced)]}
    )
    group = {"failure_code": "TIMEOUT", "description": "The job did not end in time.", "count": 2}

    batch_result.show_end(client, batch("failed", failed=2, failure_groups=[group]), console)

    assert "failed: 2 failed" in drawn(console)
    assert "2 x TIMEOUT: The job did not end in time." in drawn(console)
    assert "report 2 to depositor@example.org: bounced (mailbox full)" in drawn(console)
    assert f"jobyard requeue {BATCH}" in drawn(console)
    assert f"jobyard update-reporting {BATCH}" in drawn(console)


def test_a_refused_manifest_suggests_to_show_its_findings(api: FakeApi, client: ApiClient) -> None:
    console = log()
    api.answers(f"GET /batches/{BATCH}/reports", {"items": []})

    batch_result.show_end(
        client,
        batch("failed", failure_message="the manifest has 6 errors", findings_count=6),
        console,
    )

    assert "failed: the manifest has 6 errors" in drawn(console)
    assert f"jobyard findings {BATCH}" in drawn(console)
    assert "requeue" not in drawn(console)


@pytest.mark.parametrize(
    ("ended", "offered", "not_offered"),
    [
        (batch("cancelled", failed=2, cancelled=3), ["jobs"], ["requeue", "update-reporting"]),
        (batch("deleted", failed=2), [], ["requeue", "update-reporting", "jobs"]),
        (batch("deleted"), [], ["requeue", "update-reporting", "jobs", "findings"]),
        (batch("failed", succeeded=2), ["update-reporting"], ["requeue"]),
        (
            batch(
                "failed",
                failed=2,
                failure_groups=[
                    {
                        "failure_code": "BAD_MANIFEST",
                        "description": "No.",
                        "count": 2,
                        "not_requeueable": 2,
                    }
                ],
            ),
            ["jobs", "update-reporting"],
            ["requeue"],
        ),
    ],
)
@pytest.mark.parametrize("is_reported", [True, False])
def test_only_allowed_commands_are_suggested(
    ended: dict[str, object],
    offered: list[str],
    not_offered: list[str],
    is_reported: bool,
    api: FakeApi,
    client: ApiClient,
) -> None:
    console = log()
    reports = [report()] if is_reported else []
    api.answers(f"GET /batches/{BATCH}/reports", {"items": reports})

    batch_result.show_end(client, ended, console)

    shown = drawn(console)
    assert all(f"jobyard {each} {BATCH}" in shown for each in offered)
    assert not any(f"jobyard {each} {BATCH}" in shown for each in not_offered)
    assert (f"jobyard reports {BATCH}" in shown) == is_reported
