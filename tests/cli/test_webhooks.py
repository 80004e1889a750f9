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
        "enabled": True,
        "secret": None,
        "overlap_ends_at": None,
        "changed_at": NOW,
        "actor": "admin",
        "reason": "new",
        "links": {},
        **changes,
    }


DELIVERY = {
    "delivery_id": "msg_b_500020",
    "subject": "batch.ended.v1 to ours",
    "url": "https://hooks.example.org/ours",
    "created_at": NOW,
    "tries": 3,
    "delivery": {"state": "queued", "error": "it answered 503"},
}
COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("list",), "GET /webhooks", {"items": [webhook()]}),
    (("create", "ours", URL, *WHY), "POST /webhooks", webhook(secret="whsec_abc")),
    (("update", "ours", "--url", URL, *WHY), "PATCH /webhooks/ours", webhook()),
    (
        ("rotate-secret", "ours", *WHY),
        "POST /webhooks/ours/rotate_secret",
        webhook(secret="whsec_abc", overlap_ends_at=NOW),
    ),
    (("disable", "ours", *WHY), "POST /webhooks/ours/disable", webhook(enabled=False)),
    (("enable", "ours", *WHY), "POST /webhooks/ours/enable", webhook()),
    (("deliveries", "ours"), "GET /webhooks/ours/deliveries", {"items": [DELIVERY]}),
    (
        ("redeliver", "ours", "msg_b_500020", *WHY),
        "POST /webhooks/ours/deliveries/msg_b_500020/redeliver",
        DELIVERY,
    ),
    (("delete", "ours", *WHY), "DELETE /webhooks/ours", webhook()),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_a_webhook_is_shown_as_text_and_as_json(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document, document, problem(409, "there are 20 webhooks"))

    shown, as_json, refused = (run("webhook", *words, *more) for more in ((), ("--json",), ()))

    assert "ours" in shown.stdout or DELIVERY["delivery_id"] in shown.stdout
    assert ("whsec_abc" in shown.stdout) is (words[0] in {"create", "rotate-secret"})
    assert json.loads(as_json.stdout) == document
    assert (refused.exit_code, refused.stdout) == (1, "")


def test_a_webhook_gets_all_events_unless_some_are_named(run: Run, api: FakeApi) -> None:
    api.answers("POST /webhooks", webhook())
    some_of_them = ("--event", "batch.ended.v1", "--collection", "maps")

    run("webhook", "create", "ours", URL, *WHY)
    run("webhook", "create", "ours", URL, *WHY, *some_of_them)

    every, some = api.bodies("POST")
    assert every["events"] == ["batch.ended.v1", "campaign.ended.v1", "schedule_job.failed.v1"]
    assert (some["events"], some["collections"]) == (["batch.ended.v1"], ["maps"])


def test_an_update_changes_only_what_is_named(run: Run, api: FakeApi) -> None:
    api.answers("PATCH /webhooks/ours", webhook())

    run("webhook", "update", "ours", "--all-collections", *WHY)
    nothing = run("webhook", "update", "ours", *WHY)

    assert api.bodies("PATCH") == [{"collections": [], "reason": WHY[1]}]
    assert nothing.exit_code == 2


def test_deliveries_are_listed_after_the_reports(run: Run, api: FakeApi) -> None:
    delivery = {"state": "queued", "error": "it answered 503"}
    found = {"seq": 500020, "subject": "batch.ended.v1 to ours", "created_at": NOW, "tries": 3}
    api.answers(
        f"GET /batches/{BATCH}/reports",
        {"items": [], "webhook_deliveries": [{**found, "delivery": delivery}]},
    )

    shown = run("reports", BATCH).stdout

    assert (
        "webhook 500020: batch.ended.v1 to ours, queued after 3 attempts: it answered 503" in shown
    )
