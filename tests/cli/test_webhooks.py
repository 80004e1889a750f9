"""`jobyard webhook` on a terminal."""

import json
from typing import Any

import pytest

from tests.cli.fake_api import BATCH, NOW, FakeApi, Run, problem

WHY = ("--reason", "they asked for it")
URL = "https://hooks.example.org/jobyard"


def webhook(**changes: Any) -> dict[str, Any]:
    """A webhook as the API shows it."""
    return {
        "name": "ours",
        "url": URL,
        "events": ["batch.ended.v1"],
        "collections": [],
        "secret": None,
        "changed_at": NOW,
        "actor": "admin",
        "reason": "new",
        "links": {},
        **changes,
    }


COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("list",), "GET /webhooks", {"items": [webhook()]}),
    (("put", "ours", URL, *WHY), "PUT /webhooks/ours", webhook(secret="whsec_abc")),
    (("delete", "ours", *WHY), "DELETE /webhooks/ours", webhook()),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_a_webhook_is_shown_as_text_and_as_json(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document, document, problem(409, "there are 20 webhooks"))

    shown, as_json, refused = (run("webhook", *words, *more) for more in ((), ("--json",), ()))

    assert "ours" in shown.stdout
    assert ("whsec_abc" in shown.stdout) is (words[0] == "put")
    assert json.loads(as_json.stdout) == document
    assert (refused.exit_code, refused.stdout) == (1, "")


def test_a_webhook_is_called_about_all_events_unless_some_are_named(run: Run, api: FakeApi) -> None:
    api.answers("PUT /webhooks/ours", webhook())

    run("webhook", "put", "ours", URL, *WHY)
    run("webhook", "put", "ours", URL, *WHY, "--event", "batch.ended.v1", "--collection", "maps")

    every, some = api.bodies("PUT")
    assert every["events"] == ["batch.ended.v1", "campaign.ended.v1", "schedule_job.failed.v1"]
    assert (some["events"], some["collections"]) == (["batch.ended.v1"], ["maps"])


def test_calls_are_listed_after_the_reports(run: Run, api: FakeApi) -> None:
    delivery = {"state": "queued", "error": "it answered 503"}
    call = {"seq": 500020, "subject": "batch.ended.v1 to ours", "created_at": NOW, "tries": 3}
    api.answers(
        f"GET /batches/{BATCH}/reports",
        {"items": [], "webhook_calls": [{**call, "delivery": delivery}]},
    )

    shown = run("reports", BATCH).stdout

    assert "webhook 500020: batch.ended.v1 to ours, queued after 3 tries: it answered 503" in shown
