"""Holds, lifecycles and the signed-in person, through the API."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from jobyard.domain.hold import Hold
from jobyard.domain.lifecycles import LIFECYCLES
from jobyard.services import holds as hold_commands
from jobyard.store import holds
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, executions

SOON = NOW + timedelta(hours=2)
NOTHING_HELD = {"held": {"batches": 0, "jobs": 0, "is_exact": True}}


def hold(api: Api, scope: str, **body: Any) -> Any:
    """Place a hold."""
    return api.request("PUT", f"/holds/{scope}", role="operator", body={"reason": "moving", **body})


@pytest.mark.parametrize("scope", ["everything", "collection:maps", "type:deposit"])
def test_a_hold_is_placed_shown_and_lifted(api: Api, scope: str) -> None:
    placed = hold(api, scope, until=SOON.astimezone(timezone(timedelta(hours=2))).isoformat())

    assert placed.status == 200
    assert placed.json["owner"] == "operator"
    assert placed.json["reason"] == "moving"
    assert placed.json["until"] == SOON.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert placed.json["is_active"] is True
    assert placed.json["held"] is None
    shown = placed.json | NOTHING_HELD
    assert api.get(f"/holds/{scope}").json == shown
    assert api.get("/holds").json["items"] == [shown]
    lifted = api.request("DELETE", f"/holds/{scope}")
    assert lifted.json == {"scope": scope, "released_batches": 0}
    assert api.get("/holds").json["items"] == []
    assert api.get(f"/holds/{scope}").status == 404


@pytest.mark.parametrize("fraction", ["9994", "9995", "999999"])
def test_a_hold_may_end_at_the_very_end_of_time(api: Api, fraction: str) -> None:
    """No time is rounded up: that of the last moment would be in no year."""
    placed = hold(api, "everything", until=f"9999-12-31T23:59:59.{fraction}Z")

    assert placed.status == 200
    assert placed.json["until"] == "9999-12-31T23:59:59.999000Z"
    assert api.get("/holds/everything").json == placed.json | NOTHING_HELD
    assert api.request("DELETE", "/holds/everything").status == 200


def test_a_scope_may_be_written_with_its_colon_encoded(api: Api) -> None:
    hold(api, "collection%3Amaps")

    assert api.get("/holds/collection:maps").json["scope"] == "collection:maps"


def test_a_hold_that_is_over_is_not_shown(api: Api) -> None:
    holds.put(
        Hold("everything", "an-operator", "moving", HOUR_AGO, HOUR_AGO + timedelta(minutes=1))
    )

    assert api.get("/holds/everything").status == 404
    assert api.get("/holds").json["items"] == []


def test_lifting_a_hold_releases_what_it_held(api: Api) -> None:
    hold(api, "collection:maps")
    waiting = a_batch("held")
    working = a_batch("processing", entries=1)
    a_job(working, 0, "held")
    other = a_batch("held", collection="books")
    (shown,) = api.get("/holds").json["items"]
    assert shown["held"] == {"batches": 1, "jobs": 1, "is_exact": True}

    lifted = api.request("DELETE", "/holds/collection:maps", query={"reason": "moved"})

    assert lifted.json["released_batches"] == 2
    shown = api.get(f"/batches/{waiting.batch_id}").json
    assert shown["state"] == "pending"
    assert (shown["history"][-1]["actor"], shown["history"][-1]["reason"]) == ("admin", "moved")
    assert api.get(f"/batches/{other.batch_id}").json["state"] == "held"
    started = [each.rpartition("-r")[0] for each in executions("batch")]
    assert f"{waiting.batch_id}-open" in started
    assert f"{working.batch_id}-operation" in started


@pytest.mark.parametrize("scope", ["nothing", "collection:", "collection:ma ps", "batch:b1"])
def test_an_invalid_scope_is_refused_with_the_allowed_forms(api: Api, scope: str) -> None:
    for answer in (
        hold(api, scope),
        api.get(f"/holds/{scope}"),
        api.request("DELETE", f"/holds/{scope}"),
    ):
        assert (answer.status, answer.kind) == (400, "bad-request")
        assert "collection:NAME" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "body.reason"),
        ({"reason": "x", "until": "tomorrow"}, 422, "body.until"),
        ({"reason": "x", "until": "2030-01-01T00:00:00"}, 422, "body.until"),
        ({"reason": "x", "until": "9999-12-31T23:59:59-12:00"}, 422, "body.until"),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, 400, "is in the past"),
        ({"reason": "x", "because": "y"}, 422, "body.because"),
    ],
)
def test_an_invalid_hold_is_refused(
    api: Api, body: dict[str, Any], status: int, where: str
) -> None:
    answer = api.request("PUT", "/holds/everything", body=body)

    assert answer.status == status
    assert where in answer.json["detail"]
    assert api.get("/holds").json["items"] == []


def test_what_is_not_held_is_not_lifted(api: Api) -> None:
    answer = api.request("DELETE", "/holds/everything")

    assert (answer.status, answer.kind) == (404, "not-found")


@pytest.mark.parametrize("name", LIFECYCLES)
def test_a_lifecycle_is_shown_as_it_is_in_force(api: Api, name: str) -> None:
    assert api.get(f"/lifecycles/{name}").json == LIFECYCLES[name].document()


def test_an_unknown_lifecycle_is_answered_with_those_there_are(api: Api) -> None:
    answer = api.get("/lifecycles/frog")

    assert (answer.status, answer.kind) == (404, "not-found")
    assert "batch, job, task" in answer.json["detail"]


def test_me_shows_the_signed_in_person(api: Api) -> None:
    assert api.get("/me", role="operator").json == {"name": "operator", "roles": ["operator"]}


def test_a_second_hold_is_refused_with_who_holds_it_unless_it_replaces_the_first(api: Api) -> None:
    hold(api, "collection:maps")

    second = api.request("PUT", "/holds/collection:maps", body={"reason": "a quick look"})

    assert (second.status, second.kind) == (409, "already-held")
    assert "collection:maps is held by operator: moving" in second.json["detail"]
    assert api.get("/holds/collection:maps").json["owner"] == "operator"
    body = {"reason": "a quick look", "replace": True}
    assert api.request("PUT", "/holds/collection:maps", body=body).status == 200
    shown = api.get("/holds/collection:maps").json
    assert (shown["owner"], shown["reason"]) == ("admin", "a quick look")


def test_the_same_hold_placed_again_is_the_one_that_is_there(api: Api) -> None:
    until = SOON.isoformat()
    first = hold(api, "everything", until=until)

    again = hold(api, "everything", until=until)

    assert (again.status, again.json) == (200, first.json)
    assert hold(api, "everything").status == 409
    assert hold(api, "everything", until=until, reason="still moving").status == 409
    assert api.get("/holds/everything").json == first.json | NOTHING_HELD


def test_a_large_lift_answers_before_it_is_complete(api: Api) -> None:
    hold(api, "collection:maps")
    for _ in range(hold_commands.RELEASED_AT_ONCE + 1):
        a_batch("held")

    lifted = api.request("DELETE", "/holds/collection:maps")

    assert lifted.status == 202
    assert lifted.json == {
        "scope": "collection:maps",
        "released_batches": hold_commands.RELEASED_AT_ONCE,
    }
    assert api.get("/holds").json["items"] == []
    again = api.request("DELETE", "/holds/collection:maps")
    assert again.json["released_batches"] == hold_commands.RELEASED_AT_ONCE + 1
