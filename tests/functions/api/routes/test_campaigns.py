"""Campaigns through the API."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.targets_file import TARGETS_BYTES
from jobyard.domain.cost import Usage
from jobyard.store import campaigns, holds, usage
from jobyard.store.documents import to_ms
from jobyard.store.tables import CampaignItem
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import HOUR_AGO, a_report_of, put_intake
from tests.functions.api.campaign_records import a_task
from tests.functions.api.campaign_requests import an_ended_campaign, campaign_request

WHY = {"reason": "the devices are being moved"}


def start(api: Api, **changes: Any) -> dict[str, Any]:
    """Start a campaign."""
    answer = api.post("/campaigns", campaign_request(**changes))
    assert answer.status == 201
    started: dict[str, Any] = answer.json
    return started


def test_a_campaign_is_started_shown_and_listed(api: Api) -> None:
    answer = api.post("/campaigns", campaign_request())

    assert answer.status == 201
    started = answer.json
    assert answer.headers["location"] == started["links"]["self"]
    assert (started["state"], started["label"]) == ("scheduled", "Scheduled")
    assert (started["tasks"], started["done"], started["counts"]) == (2, 0, {"scheduled": 2})
    assert started["schedule"].endswith("until 31 December 2026 (Europe/Zurich)")
    assert started["rules"]["at_once"] == 100
    assert [each["start"] for each in started["forecast"]["openings"]][:2] == [
        "2026-11-20T21:00:00Z",
        "2026-11-27T21:00:00Z",
    ]
    shown = api.get(f"/campaigns/{started['campaign_id']}").json
    only_now = {"overlaps", "warnings"}
    assert shown == {name: value for name, value in started.items() if name not in only_now}
    (listed,) = api.get("/campaigns").json["items"]
    assert listed == {name: value for name, value in shown.items() if name in listed}


def test_the_list_of_campaigns_ends(api: Api) -> None:
    started = [start(api)["campaign_id"] for _ in range(3)]

    first = api.get("/campaigns", query={"limit": "2"}).json
    rest = api.get("/campaigns", query={"limit": "2", "cursor": first["next_cursor"]}).json

    listed = [each["campaign_id"] for page in (first, rest) for each in page["items"]]
    assert sorted(listed) == sorted(started)
    assert rest["next_cursor"] is None


def test_a_campaign_that_cannot_be_read_is_listed_as_unknown(api: Api) -> None:
    known, broken = start(api)["campaign_id"], start(api)["campaign_id"]
    item = CampaignItem.get(broken)
    item.update([CampaignItem.state.set("nonsense")])

    page = api.get("/campaigns").json

    assert [each["campaign_id"] for each in page["items"]] == [known]
    assert [(each["campaign_id"], each["label"]) for each in page["unknown"]] == [
        (broken, "Unknown")
    ]
    assert "Unknown" in api.get(f"/campaigns/{broken}").json["detail"]


def test_a_campaign_about_which_nothing_decides_is_shown_as_unknown(api: Api) -> None:
    campaign_id = start(api)["campaign_id"]
    item = CampaignItem.get(campaign_id)
    item.update([CampaignItem.due_at.set(item.due_at - 1_500_000)])  # 25 minutes, 5 are allowed

    (listed,) = api.get("/campaigns").json["items"]

    assert (listed["state"], listed["label"]) == ("scheduled", "Unknown")
    assert listed["waiting_reason"].startswith("no execution has settled it since 2")
    assert api.get(f"/campaigns/{campaign_id}").json["label"] == "Unknown"


def test_reports_are_listed_and_sent_again(api: Api) -> None:
    campaign_id = start(api, notify=["team@example.org"])["campaign_id"]
    path = f"/campaigns/{campaign_id}/reports"
    assert api.get(path).json["items"] == []
    a_report_of(campaign_id)

    (listed,) = api.get(path).json["items"]

    assert (listed["kind"], listed["counts"]) == ("first", {"failed": 1})
    assert f"{campaign_id}/0001/jobs.csv" in listed["files"]["jobs_csv"]
    answer = api.post(f"{path}/1/resend", WHY)
    assert (answer.status, answer.json["delivery"]["state"]) == (202, "queued")
    assert api.post(f"{path}/1/resend", WHY).status == 409
    assert api.post(f"{path}/2/resend", WHY).status == 404
    assert api.post(f"{path}/1/resend", WHY, role="operator").status == 403


def test_the_recipients_of_reports_are_shown(api: Api) -> None:
    assert start(api, notify=["team@example.org"])["notify"] == ["team@example.org"]
    assert start(api, notify=[])["notify"] == []
    assert api.post("/campaigns", campaign_request(notify=["nobody"])).status == 400


def test_an_operator_retries_the_same_work_and_not_another_image(api: Api) -> None:
    request = campaign_request()
    campaign_id = an_ended_campaign(start(api)["campaign_id"])
    path = f"/campaigns/{campaign_id}/retry"
    image = request["parameters"] | {"image": "https://other.example.org/image"}

    for parameters in (image, {}, None, "none"):
        refused = api.post(path, {"parameters": parameters}, role="operator")
        assert (refused.status, refused.kind) == (403, "forbidden")
        assert refused.json["detail"].startswith("only an admin may start a campaign; a retry with")
    changes = {"parameters": request["parameters"], "at_once": 3, "to": "2026-12-24"}
    previewed = api.post(f"{path}/preview", changes, role="operator").json
    assert (previewed["tasks"], previewed["rules"]["at_once"]) == (2, 3)
    assert api.post(f"{path}/preview", {"parameters": image}, role="operator").status == 403
    retried = api.post(path, changes, role="operator")

    assert (retried.status, retried.json["parameters"]) == (201, request["parameters"])
    assert api.post(path, {"parameters": image}).json["parameters"] == image


def test_a_change_of_a_rate_keeps_what_it_leaves_out_and_null_removes_it(api: Api) -> None:
    started = start(api, rollout={"per_minute": 50, "factor": 1.5, "every": 20})
    path = f"/campaigns/{started['campaign_id']}/change"

    slower = api.post(path, WHY | {"rollout": {"per_minute": 10}}).json
    steady = api.post(path, WHY | {"rollout": {"factor": None}}).json
    removed = api.post(path, WHY | {"rollout": None}).json
    again = api.post(path, WHY | {"rollout": {"factor": 2}})

    assert slower["rules"]["rollout"] == {"per_minute": 10, "factor": 1.5, "every": 20}
    assert steady["rules"]["rollout"] == {"per_minute": 10, "factor": 1, "every": 20}
    assert removed["rules"]["rollout"] is None
    assert (again.status, "rollout.per_minute" in again.text) == (400, True)


def test_a_campaign_that_has_ended_is_not_replaced(api: Api) -> None:
    older = start(api, name="Gateways to 4.1.9")["campaign_id"]
    request = campaign_request(replaces=older)

    preview = api.post("/campaigns/preview", request).json
    assert preview["overlaps"] == []
    (warning,) = preview["warnings"]
    assert f"it ends Gateways to 4.1.9 ({older}) as a whole" in warning
    assert "2 tasks" in warning

    an_ended_campaign(older)
    for path in ("/campaigns/preview", "/campaigns"):
        refused = api.post(path, request)
        assert (refused.status, f"({older}) is failed" in refused.text) == (400, True)


def test_an_archived_campaign_is_gone(api: Api) -> None:
    campaign_id = an_ended_campaign(start(api)["campaign_id"])
    campaigns.CAMPAIGN_TOMBSTONES.start(
        campaigns.get(campaign_id), datetime.now(UTC), "records/f/v2"
    )

    for path in ("", "/tasks", "/reports", "/cost"):
        answer = api.get(f"/campaigns/{campaign_id}{path}")
        assert (answer.status, answer.kind) == (410, "gone")
        assert "is being archived" in answer.json["detail"]
    for event in ("pause", "resume", "cancel", "retry"):
        assert api.post(f"/campaigns/{campaign_id}/{event}", WHY).status in {400, 410}
    assert api.get(f"/jobs/{campaign_id}.0.0").status == 410
    assert api.get("/campaigns").json == {"items": [], "unknown": [], "next_cursor": None}


def test_campaigns_of_a_system_job_type_are_listed_apart(api: Api) -> None:
    shown = start(api)
    hidden = start(api, job_type="device-info", parameters={})

    assert (shown["is_system"], hidden["is_system"]) == (False, True)
    for query, campaign in (({}, shown), ({"system": "true"}, hidden)):
        page = api.get("/campaigns", query=query).json
        assert [each["campaign_id"] for each in page["items"]] == [campaign["campaign_id"]]


def test_the_cost_of_a_campaign_is_that_of_its_usage(api: Api) -> None:
    campaign_id = start(api)["campaign_id"]
    usage.add(campaign_id, "chunk-0", Usage(write_units=1e6))
    usage.add(campaign_id, "settle", Usage(write_units=1e6, transitions=1000))

    bill = api.get(f"/campaigns/{campaign_id}/cost", role="operator").json

    assert bill["dollars"] == pytest.approx(2 * 0.625 + 0.025)
    assert bill["dollars_per_task"] == pytest.approx(bill["dollars"] / 2)
    assert api.get(f"/campaigns/{'c' + 'a' * 20}/cost").status == 404
    assert api.get(f"/campaigns/{campaign_id}").json["links"]["cost"] == bill["links"]["self"]


def test_a_preview_starts_nothing(api: Api) -> None:
    previewed = api.post("/campaigns/preview", campaign_request(targets=["a", "a"])).json

    assert previewed["warnings"] == [
        'targets[1]: "a" is listed already, as number 1, with the same fields: it has one task',
        "targets: 1 of 1 target have no address: device-update fails on those",
    ]
    assert previewed["tasks"] == 1
    assert api.get("/campaigns").json["items"] == []


@pytest.mark.parametrize(
    ("changes", "needs", "starts"),
    [
        ({}, 10, 21),
        ({"needs": None}, 10, 21),
        ({"needs": 0}, 0, 30),
        ({"needs": 25}, 25, 6),
        ({"job_type": "device-info", "parameters": {}}, 0, 30),
    ],
)
def test_a_task_needs_as_long_as_its_job_type_says_unless_the_request_does(
    api: Api, changes: dict[str, Any], needs: int, starts: int
) -> None:
    request = campaign_request(
        window={"from": "22:00", "to": "22:30"},
        rollout={"per_minute": 1},
        targets=[f"gw-{number}" for number in range(70)],
        **changes,
    )

    previewed = api.post("/campaigns/preview", request).json

    assert previewed["rules"]["needs"] == needs
    _, second, *_ = previewed["forecast"]["openings"]  # the first one may have begun
    assert second["starts"] == starts


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window": {"from": "22:00", "to": "22:05"}}, "body.needs"),
        ({"targets": []}, "body.targets"),
        ({"targets": [{"id": "a b"}]}, "body.targets[0]"),
        ({"targets": None}, "body.targets"),
        ({"job_type": "deposit"}, "body.job_type"),
        ({"job_type": None}, "body.job_type"),
        ({"kind": "sometimes"}, "body.kind"),
        ({"to": "2026-01-01"}, "body.to"),
        ({"window": {"weekdays": []}}, "body.window.weekdays"),
        ({"calendar": "none-such"}, "body.calendar"),
        ({"calendar": ""}, "body.calendar"),
        ({"at_once": 0}, "body.at_once"),
        ({"replace_overlapping": "yes"}, "body.replace_overlapping"),
        ({"nonsense": 1}, "body.nonsense"),
        ({"parameters": {"version": "1"}}, "body.parameters.image"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_started(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    answer = api.post("/campaigns", campaign_request(**changes))

    assert answer.status in {400, 422}
    assert [each["field"] for each in answer.json["errors"]] == [field]
    assert api.get("/campaigns").json["items"] == []


def test_targets_are_uploaded_to_a_key_of_ones_own(api: Api) -> None:
    found = api.post("/campaigns/targets", {"filename": "gateways.csv"}).json
    again = api.post("/campaigns/targets", {"filename": "gateways.csv"}).json

    fields = found["upload"]["fields"]
    assert fields["key"] == found["targets_file"]
    assert found["targets_file"].startswith("targets/t")
    folder, other = (each["targets_file"].rpartition("/")[0] for each in (found, again))
    assert folder != other
    assert folder.rpartition("/")[0] == other.rpartition("/")[0]
    policy = json.loads(base64.b64decode(fields["policy"]))
    assert ["content-length-range", 1, TARGETS_BYTES] in policy["conditions"]
    assert {"key": fields["key"]} in policy["conditions"]


def test_a_preview_lists_older_campaigns_on_the_same_targets(api: Api) -> None:
    older = start(api, targets=["gw-1", "gw-2", "gw-3"])
    newer = campaign_request(targets=["gw-3", "gw-4"], replace_overlapping=True)

    previewed = api.post("/campaigns/preview", newer).json
    started = api.post("/campaigns", newer).json

    (overlap,) = previewed["overlaps"]
    assert (overlap["campaign_id"], overlap["name"]) == (older["campaign_id"], older["name"])
    assert (overlap["targets"], overlap["tasks"]) == (1, 3)
    assert overlap["links"] == older["links"]
    assert (started["replace_overlapping"], started["overlaps"]) == (True, [])
    assert api.get(f"/campaigns/{older['campaign_id']}").json["state"] == "scheduled"


def test_a_campaign_is_started_with_the_targets_of_a_file(api: Api) -> None:
    key = upload(api, "id,address\ngw-1,gw-1.example.org\ngw-2,\n")
    request = campaign_request(targets=None, targets_file=key)

    previewed = api.post("/campaigns/preview", request).json
    started = api.post("/campaigns", request).json

    assert previewed["forecast"] == started["forecast"]
    assert (started["tasks"], started["counts"]) == (2, {"scheduled": 2})
    assert started["targets_file"] == key
    assert api.get(f"/campaigns/{started['campaign_id']}/tasks").json["items"] == []


def test_what_is_wrong_in_a_file_is_refused_with_its_place(api: Api) -> None:
    key = upload(api, "id,zone\ngw-1,Mars/Olympus\n")

    answer = api.post("/campaigns", campaign_request(targets=None, targets_file=key))

    assert answer.status == 400
    (error,) = answer.json["errors"]
    assert error["field"] == "body.targets_file"
    assert error["message"].startswith("line 2, column 6: zone")
    assert api.get("/campaigns").json["items"] == []


@pytest.mark.parametrize(
    "key",
    [
        "manifests/maps/may.checkm",
        "targets/",
        "targets/../work/rows.jsonl",
        "OWN/t" + "a" * 20 + "/../x",
        "OWN/t" + "a" * 20 + "/..",
        "OWN/t" + "a" * 20 + "/a/b",
        "OWN/t" + "a" * 20 + "/a\nb",
        "OWN/x/a.csv",
        "",
        7,
        ["a"],
    ],
)
def test_a_key_of_anything_else_is_refused(api: Api, key: Any) -> None:
    own = upload(api, "id\na\n").rpartition("/")[0].rpartition("/")[0]
    sent = key.replace("OWN", own) if isinstance(key, str) else key

    answer = api.post("/campaigns", campaign_request(targets=None, targets_file=sent))

    assert answer.status == 400
    assert [each["field"] for each in answer.json["errors"]] == ["body.targets_file"]


@pytest.mark.parametrize("role", ["viewer", "operator", "depositor"])
def test_only_admins_upload_targets(api: Api, role: str) -> None:
    answer = api.post("/campaigns/targets", {"filename": "a.csv"}, role=role)

    assert answer.status == 403


def upload(api: Api, text: str) -> str:
    """The key of a file of targets that was uploaded."""
    key: str = api.post("/campaigns/targets", {"filename": "gateways.csv"}).json["targets_file"]
    put_intake(key, text)
    return key


def test_tasks_are_listed_in_the_order_of_the_targets(api: Api) -> None:
    names = [f"device-{number}" for number in range(60)]
    campaign = start(api, targets=names)
    path = f"/campaigns/{campaign['campaign_id']}/tasks"

    first = api.get(path, query={"limit": "40"}).json
    rest = api.get(path, query={"limit": "40", "cursor": first["next_cursor"]}).json

    tasks = [*first["items"], *rest["items"]]
    assert [each["target"] for each in tasks] == names
    assert rest["next_cursor"] is None
    assert {(each["state"], each["label"], each["step"]) for each in tasks} == {
        ("scheduled", "Scheduled", "reach")
    }
    assert api.get(path, query={"state": "failed"}).json["items"] == []
    job = api.get(f"/jobs/{tasks[-1]['job_id']}").json
    assert (job["state"], [each["name"] for each in job["steps"]]) == (
        "scheduled",
        ["reach", "compare", "upload", "apply", "verify"],
    )


def test_a_campaign_is_paused_and_resumed(api: Api) -> None:
    path = f"/campaigns/{start(api)['campaign_id']}"

    paused = api.post(f"{path}/pause", WHY)
    assert paused.status == 200
    hold = api.get(f"/holds/campaign:{path.rpartition('/')[2]}").json
    assert (hold["owner"], hold["reason"]) == ("admin", WHY["reason"])
    again = api.post(f"{path}/pause", {"reason": "another one"})
    assert (again.status, again.kind) == (409, "already-held")
    assert api.post(f"{path}/resume", WHY).status == 200


def test_cancelling_twice_is_no_error_and_nothing_can_be_done_then(api: Api) -> None:
    path = f"/campaigns/{start(api)['campaign_id']}"

    answers = [api.post(f"{path}/cancel", WHY) for _ in range(2)]

    assert [(each.status, each.json["label"]) for each in answers] == [(200, "Cancelling")] * 2
    assert answers[-1].json["actions"] == ["force"]
    assert api.post(f"{path}/pause", WHY).status == 409
    assert api.post(f"{path}/force", WHY).json["actions"] == []


@pytest.mark.parametrize("path", ["", "/tasks"])
@pytest.mark.parametrize("campaign_id", ["c" + "a" * 20, "nonsense", "b" + "a" * 20])
def test_an_unknown_campaign_is_not_found(api: Api, campaign_id: str, path: str) -> None:
    assert api.get(f"/campaigns/{campaign_id}{path}").status == 404


@pytest.mark.parametrize("job_id", ["c" + "a" * 20 + ".0.0", "{campaign}.9.0", "{campaign}.0.9"])
def test_an_unknown_task_is_not_found(api: Api, job_id: str) -> None:
    campaign = start(api)["campaign_id"]

    assert api.get(f"/jobs/{job_id.format(campaign=campaign)}").status == 404


def test_a_waiting_task_is_cancelled_at_once(api: Api) -> None:
    campaign = start(api)["campaign_id"]

    answer = api.post(f"/jobs/{campaign}.0.0/cancel", WHY)

    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    shown = api.get(f"/campaigns/{campaign}/tasks").json["items"]
    assert [each["state"] for each in shown] == ["cancelled", "scheduled"]
    assert [each["actions"] for each in shown] == [[], ["cancel"]]


def test_a_task_takes_no_other_event(api: Api) -> None:
    campaign = start(api)["campaign_id"]

    answer = api.post(f"/jobs/{campaign}.0.0/hold", WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")
    assert "pause its campaign" in answer.json["detail"]
    answer = api.post(f"/jobs/{campaign}.0.0/requeue", WHY)
    assert answer.json["detail"] == "job is scheduled: cannot requeue; you can cancel"


def test_a_task_of_an_ended_campaign_names_the_retry_as_a_new_campaign(api: Api) -> None:
    campaign = an_ended_campaign(start(api)["campaign_id"])

    answer = api.post(f"/jobs/{campaign}.0.0/requeue", WHY)
    shown = api.get(f"/jobs/{campaign}.0.0").json

    assert (answer.status, answer.kind) == (409, "invalid-transition")
    assert f"jobyard campaign retry {campaign}" in answer.json["detail"]
    reasons = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert "retry it as a new campaign" in reasons["requeue"]


def test_campaigns_are_listed_by_state(api: Api) -> None:
    waiting, ended = start(api)["campaign_id"], start(api)["campaign_id"]
    an_ended_campaign(ended)

    listed = {
        state: [
            each["campaign_id"]
            for each in api.get("/campaigns", query={"state": state}).json["items"]
        ]
        for state in ("scheduled", "failed", "held", "unknown")
    }

    assert listed == {"scheduled": [waiting], "failed": [ended], "held": [], "unknown": []}
    assert api.get("/campaigns", query={"state": "odd"}).status == 422


def test_a_task_that_is_stuck_says_what_to_do_at_its_device(api: Api) -> None:
    campaign = campaigns.get(start(api)["campaign_id"])
    a_task(campaign, 0, "rescheduled")

    stuck = api.get(f"/jobs/{campaign.campaign_id}.0.0").json
    waiting = api.get(f"/jobs/{campaign.campaign_id}.0.1").json

    assert "stays connected" in stuck["advice"]
    assert waiting["advice"] == ""


FOR_ITS_TURN = "waits for its turn, by the forecast"
OPEN_NOW = {"window": {"from": "08:00", "to": "20:00"}}


def waits(api: Api, campaign_id: str) -> list[tuple[str, str, str | None]]:
    """The label, the reason and the end of the wait of each task. Its job has the same."""
    fields = ("label", "waiting_reason", "waiting_until")
    tasks = api.get(f"/campaigns/{campaign_id}/tasks").json["items"]
    found = [api.get(f"/jobs/{each['job_id']}").json for each in tasks]
    assert [[each[name] for name in fields] for each in found] == [
        [each[name] for name in fields] for each in tasks
    ]
    return [(each["label"], each["waiting_reason"], each["waiting_until"]) for each in found]


def test_the_job_of_a_task_says_what_the_list_of_tasks_says(api: Api) -> None:
    campaign = campaigns.get(start(api)["campaign_id"])
    a_task(campaign, 0, "rescheduled", next_at=HOUR_AGO)
    a_task(campaign, 1, "cancelled")

    assert waits(api, campaign.campaign_id) == [
        ("Rescheduled", "its window is closed", "2026-11-20T21:00:00Z"),
        ("Cancelled", "", None),
    ]


def test_a_task_waits_for_its_retry_without_a_limit_or_for_its_turn(api: Api) -> None:
    campaign = campaigns.get(start(api, **OPEN_NOW)["campaign_id"])
    a_task(campaign, 0, "rescheduled", start_count=17)
    a_task(campaign, 1, "rescheduled", next_at=HOUR_AGO)

    assert waits(api, campaign.campaign_id) == [
        ("Rescheduled", "retry after DEVICE_OFFLINE", "2026-11-20T10:37:56Z"),
        ("Rescheduled", FOR_ITS_TURN, "2026-11-20T10:35:00Z"),
    ]


@pytest.mark.parametrize("until", [None, "2026-11-20T12:00:00Z"])
def test_a_task_of_a_paused_campaign_waits_until_the_hold_ends(api: Api, until: str | None) -> None:
    campaign = campaigns.get(start(api, **OPEN_NOW)["campaign_id"])
    a_task(campaign, 0, "rescheduled")
    paused = api.post(f"/campaigns/{campaign.campaign_id}/pause", {**WHY, "until": until})
    assert paused.status == 200

    ends = "" if until else ", until a person releases it"
    reason = f"campaign:{campaign.campaign_id} is held by admin: {WHY['reason']}{ends}"
    assert waits(api, campaign.campaign_id) == [
        ("Rescheduled", reason, until),
        ("Scheduled", reason, until),
    ]


def test_a_list_says_until_when_a_campaign_is_held(api: Api) -> None:
    campaign_id = start(api, **OPEN_NOW)["campaign_id"]
    assert api.post(f"/campaigns/{campaign_id}/pause", WHY).status == 200
    scope, before = f"campaign:{campaign_id}", campaigns.get(campaign_id)
    reason = f"{scope} is held by admin: {WHY['reason']}"
    resting = {"rest_reason": reason, "rests_until": NOW + timedelta(minutes=10)}
    campaigns.write(before, replace(before, version=before.version + 1, **resting))

    (held,) = api.get("/campaigns").json["items"]
    placed = holds.find(scope)
    assert placed
    holds.delete(placed)
    (after,) = api.get("/campaigns").json["items"]

    assert held["waiting_reason"] == f"{reason}, until a person releases it"
    assert held["waiting_until"] is None
    assert after["waiting_reason"] == "its hold has ended: it continues shortly"
    assert api.get(f"/campaigns/{campaign_id}").json["waiting_reason"] == after["waiting_reason"]


def test_a_task_names_the_campaign_that_works_on_its_target(api: Api) -> None:
    campaign_id, other = (start(api, **OPEN_NOW)["campaign_id"] for _ in range(2))
    claim = [other, 0, 0, 1, to_ms(NOW + timedelta(minutes=10))]
    CampaignItem("target#gw-1", state="claim", version=1, body=claim).save()

    assert waits(api, campaign_id) == [
        ("Scheduled", f"campaign {other} works on its target", "2026-11-20T10:44:56Z"),
        ("Scheduled", FOR_ITS_TURN, "2026-11-20T10:35:00Z"),
    ]
