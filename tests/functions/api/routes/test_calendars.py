"""Calendars through the API: put, get, list, delete."""

from typing import Any

import pytest

from jobyard.domain.schedules.schedule import Policy
from tests.functions.api.api_client import Answer, Api
from tests.functions.api.schedule_records import a_schedule
from tests.functions.api.test_idempotency import KEY, forget_answers

WHY = {"reason": "next year is known"}
SAYS = {
    "title": "State holidays",
    "exclude": ["2026-12-25", {"from": "2026-12-28", "to": "2027-01-01"}],
    "include": [{"weekdays": ["mon", "tue"], "from": "22:00", "to": "04:00"}],
}


def put(api: Api, name: str = "holidays", **how: Any) -> Answer:
    """Put a calendar; `how` may change its body."""
    headers = how.pop("headers", None)
    return api.request("PUT", f"/calendars/{name}", body={**SAYS, **WHY, **how}, headers=headers)


def test_a_calendar_is_put_shown_and_listed(api: Api) -> None:
    shown = put(api)

    assert shown.status == 200
    assert {name: shown.json[name] for name in SAYS} == SAYS
    assert (shown.json["name"], shown.json["version"]) == ("holidays", 1)
    (change,) = shown.json["history"]
    assert (change["event"], change["actor"]) == ("put", "admin")
    assert change["reason"] == WHY["reason"]
    put(api, "another")
    assert api.get("/calendars/holidays").json == shown.json
    listed = api.get("/calendars").json["items"]
    assert [each["name"] for each in listed] == ["another", "holidays"]


def test_a_calendar_is_changed_over_the_version_that_was_seen(api: Api) -> None:
    put(api)

    changed = put(api, version=1, exclude=[])
    stale = put(api, version=1, title="mine")
    new = put(api, version=0)
    over_any = put(api, title="whatever was there")

    assert (changed.json["version"], changed.json["exclude"]) == (2, [])
    assert (stale.status, stale.kind) == (409, "stale-state")
    assert (new.status, new.kind) == (409, "stale-state")
    assert (over_any.json["version"], len(over_any.json["history"])) == (3, 3)


@pytest.mark.parametrize(
    ("name", "how", "status", "where"),
    [
        ("State_Holidays", {}, 400, "body.name"),
        ("holidays", {"exclude": ["25 December"]}, 400, "body.exclude"),
        ("holidays", {"exclude": [{"from": "2026-12-28", "to": "2026-12-01"}]}, 400, "exclude.to"),
        ("holidays", {"include": [{"weekdays": ["monday"]}]}, 400, "body.include.weekdays"),
        ("holidays", {"include": [{"from": "22:00", "to": "22:00"}]}, 400, "body.include.to"),
        ("holidays", {"include": "always"}, 422, "body.include"),
        ("holidays", {"title": "x" * 201}, 422, "body.title"),
        ("holidays", {"version": -1}, 422, "body.version"),
        ("holidays", {"reason": ""}, 422, "body.reason"),
        ("holidays", {"holidays": []}, 422, "body.holidays"),
    ],
)
def test_an_invalid_calendar_is_refused_by_its_field(
    api: Api, name: str, how: dict[str, Any], status: int, where: str
) -> None:
    answer = put(api, name, **how)

    assert answer.status == status
    assert where in answer.json["errors"][0]["field"]
    assert api.get("/calendars").json["items"] == []


def test_a_calendar_is_deleted_and_may_be_created_again(api: Api) -> None:
    put(api)

    deleted = api.request("DELETE", "/calendars/holidays", query={**WHY, "version": 1})

    assert deleted.status == 200
    assert [each["event"] for each in deleted.json["history"]] == ["put", "delete"]
    assert api.get("/calendars/holidays").status == 404
    assert api.get("/calendars").json["items"] == []
    assert api.request("DELETE", "/calendars/holidays", query=WHY).status == 404
    created = put(api, version=0)
    assert (created.status, created.json["version"]) == (200, 3)


def test_a_calendar_that_a_schedule_names_is_not_deleted(api: Api) -> None:
    put(api)
    schedule = a_schedule(policy=Policy(calendar="holidays"))
    put(api, "another")

    answer = api.request("DELETE", "/calendars/holidays", query=WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")
    assert schedule.schedule_id in answer.json["detail"]
    assert api.request("DELETE", "/calendars/another", query=WHY).status == 200
    api.request("DELETE", f"/schedules/{schedule.schedule_id}", query=WHY)
    assert api.request("DELETE", "/calendars/holidays", query=WHY).status == 200


def test_a_calendar_of_another_version_is_not_deleted(api: Api) -> None:
    put(api)
    put(api)

    answer = api.request("DELETE", "/calendars/holidays", query={**WHY, "version": 1})

    assert (answer.status, answer.kind) == (409, "stale-state")
    assert api.request("DELETE", "/calendars/holidays").status == 422


def test_a_change_sent_again_is_made_once(api: Api) -> None:
    first = put(api, headers=KEY)
    forget_answers()
    again = put(api, headers=KEY)
    assert (again.json, again.status) == (first.json, 200)

    for _ in range(2):
        deleted = api.request("DELETE", "/calendars/holidays", query=WHY, headers=KEY)
        assert (deleted.status, deleted.json["version"]) == (200, 2)
        forget_answers()


def test_what_a_calendar_says_from_now_on_holds_for_schedules_at_once(api: Api) -> None:
    put(api, exclude=[], include=[])
    schedule = a_schedule(policy=Policy(calendar="holidays"))
    path = f"/schedules/{schedule.schedule_id}"
    first = api.get(path).json["next_run_at"]

    put(api, exclude=[first[:10]], include=[])

    assert api.get(path).json["next_run_at"] > first
