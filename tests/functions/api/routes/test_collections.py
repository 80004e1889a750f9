"""Collections through the API: who may deposit, and how submissions are checked."""

from typing import Any

import pytest

from jobyard.domain.collection import MAX_PEOPLE
from jobyard.domain.hold import Hold
from jobyard.store import collections, holds
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import HOUR_AGO
from tests.people import sub_of

WHY = {"reason": "because"}
STRANGER = "0f0e0d0c-1111-4222-8333-444455556666"


def create_collection(api: Api, name: str = "atlas", **fields: Any) -> Any:
    """A collection created by an admin."""
    answer = api.post("/collections", {"name": name, **fields})
    assert answer.status == 201, answer.text
    return answer.json


def submit(api: Api, collection: str = "atlas", **who: Any) -> Any:
    """The answer to a submission."""
    wanted = {"collection": collection, "filename": "may.checkm", "notify": []}
    return api.post("/batches", wanted, **({"role": "depositor"} | who))


def test_strangers_get_no_mail_of_a_collection(api: Api) -> None:
    body = {"name": "atlas", "notify": ["a@example.com"], **WHY}
    refused = api.post("/collections", body)
    create_collection(api)
    refused_too = api.request(
        "PATCH", "/collections/atlas", body={"notify": ["a@example.com"], **WHY}
    )

    for each in (refused, refused_too):
        assert each.status == 400
        assert each.json["detail"].startswith("a@example.com: this deployment sends mail to ")


def test_an_admin_makes_a_collection_and_it_is_shown(api: Api) -> None:
    shown = create_collection(
        api,
        people=["depositor"],
        groups=["curators"],
        naans=["13030"],
        notify=["maps@example.org"],
        accepts_drops=True,
        reason="the atlas project",
    )

    assert shown["people"] == [{"id": sub_of("depositor"), "name": "depositor"}]
    assert (shown["owner"], shown["owner_id"]) == ("admin", sub_of("admin"))
    assert (shown["groups"], shown["naans"]) == (["curators"], ["13030"])
    assert (shown["notify"], shown["accepts_drops"], shown["hold"]) == (
        ["maps@example.org"],
        True,
        None,
    )
    (entry,) = shown["history"]
    assert (entry["event"], entry["actor"], entry["reason"]) == (
        "create",
        "admin",
        "the atlas project",
    )
    assert entry["actor_id"] == sub_of("admin")
    assert api.get("/collections/atlas").json == shown
    assert shown in api.get("/collections").json["items"]


def test_a_name_of_a_collection_is_unique(api: Api) -> None:
    create_collection(api)

    again = api.post("/collections", {"name": "atlas", "accepts_drops": True})

    assert (again.status, again.kind) == (409, "invalid-transition")
    assert api.get("/collections/atlas").json["accepts_drops"] is False


@pytest.mark.parametrize("role", ["depositor", "operator"])
def test_nobody_deposits_who_was_not_allowed(api: Api, role: str) -> None:
    create_collection(api)

    refused = submit(api, role=role)

    expected = (404, "not-found") if role == "depositor" else (403, "forbidden")
    assert (refused.status, refused.kind) == expected
    assert "jobyard collection allow atlas" in refused.json["detail"]
    assert api.get("/batches").json["items"] == []


@pytest.mark.parametrize("role", ["depositor", "operator", "admin"])
def test_a_missing_collection_accepts_nothing(api: Api, role: str) -> None:
    refused = submit(api, "nowhere", role=role)

    assert (refused.status, refused.kind) == (404, "not-found")
    assert "there is no collection 'nowhere'" in refused.json["detail"]
    assert "jobyard collection" in refused.json["detail"]


def test_a_closed_collection_looks_to_a_depositor_as_if_it_did_not_exist(api: Api) -> None:
    create_collection(api)

    closed, missing = submit(api, "atlas").json, submit(api, "nowhere").json

    assert closed["detail"].replace("atlas", "nowhere") == missing["detail"]
    assert api.get("/collections/atlas", role="depositor").status == 404
    listed = api.get("/collections", role="depositor").json["items"]
    assert "atlas" not in {each["name"] for each in listed}


def test_an_admin_may_deposit_who_could_allow_themselves(api: Api) -> None:
    create_collection(api)

    assert submit(api, role="admin").status == 201


def test_who_is_allowed_deposits_until_they_are_denied(api: Api) -> None:
    create_collection(api)

    allowed = api.post("/collections/atlas/allow", {**WHY, "people": ["depositor"]})
    assert allowed.status == 200
    assert submit(api).status == 201
    assert api.get("/collections/atlas", role="depositor").json["may_deposit"] is True
    denied = api.post("/collections/atlas/deny", {**WHY, "people": ["depositor"]})
    assert denied.json["people"] == []
    assert submit(api).status == 404
    assert [each["event"] for each in denied.json["history"]] == ["create", "allow", "deny"]
    assert denied.json["history"][-1]["changes"] == "depositor"


def test_the_right_is_the_persons_and_not_the_names(api: Api) -> None:
    create_collection(api, people=["depositor"])

    assert submit(api, sub=STRANGER).status == 404
    assert submit(api).status == 201


def test_a_group_may_deposit(api: Api) -> None:
    create_collection(api, groups=["curators"])

    assert submit(api, groups="depositor curators").status == 201
    assert submit(api, groups="depositor readers").status == 404
    assert submit(api, role="viewer", groups="viewer curators").status == 403
    api.post("/collections/atlas/deny", {**WHY, "groups": ["curators"]})
    assert submit(api, groups="depositor curators").status == 404


def test_a_person_is_denied_by_id_too_and_a_refusal_says_who_has_the_right(api: Api) -> None:
    create_collection(api, people=["depositor"])

    wrong = api.post("/collections/atlas/deny", {**WHY, "people": ["operator"]})
    right = api.post("/collections/atlas/deny", {**WHY, "people": [sub_of("depositor")]})

    assert (wrong.status, wrong.kind) == (409, "invalid-transition")
    assert wrong.json["detail"] == "operator has no right to deposit into atlas"
    assert right.json["people"] == []


def test_an_unknown_person_cannot_be_allowed(api: Api) -> None:
    create_collection(api)

    for answer in (
        api.post("/collections/atlas/allow", {**WHY, "people": ["nobody-of-that-name"]}),
        api.post("/collections", {"name": "other", "owner": "nobody-of-that-name"}),
    ):
        assert (answer.status, answer.kind) == (400, "bad-request")
        assert "nobody-of-that-name" in answer.json["detail"]


def test_an_owner_changes_their_collection_and_nobody_elses(api: Api) -> None:
    create_collection(api, owner="operator", naans=["12345", "13030"])
    create_collection(api, "other")
    as_owner = {"role": "operator"}

    edited = api.request(
        "PATCH",
        "/collections/atlas",
        body={**WHY, "naans": ["13030"], "accepts_drops": True},
        **as_owner,
    )
    allowed = api.post("/collections/atlas/allow", {**WHY, "groups": ["depositor"]}, **as_owner)
    foreign = api.request(
        "PATCH", "/collections/other", body={**WHY, "accepts_drops": True}, **as_owner
    )

    assert (edited.json["naans"], edited.json["accepts_drops"]) == (["13030"], True)
    assert edited.json["may_edit"] is True
    assert edited.json["history"][-1]["changes"] == "NAANs 13030; accepts dropped manifests"
    assert allowed.status == 200
    assert submit(api).status == submit(api, **as_owner).status == 201
    assert (foreign.status, foreign.kind) == (403, "forbidden")
    assert api.get("/collections/other").json["accepts_drops"] is False


def test_an_owner_gives_their_collection_no_arks_of_another_authority(api: Api) -> None:
    create_collection(api, owner="operator", naans=["12345"])

    def edited(role: str, *naans: str) -> Any:
        return api.request("PATCH", "/collections/atlas", body={**WHY, "naans": naans}, role=role)

    refused = edited("operator", "12345", "13030")

    assert (refused.status, refused.kind) == (403, "forbidden")
    assert "13030" in refused.json["detail"]
    assert api.get("/collections/atlas").json["naans"] == ["12345"]
    assert edited("admin", "13030", "12345").json["naans"] == ["13030", "12345"]
    assert edited("operator").json["naans"] == []
    assert edited("operator", "12345").status == 403


def test_an_owner_without_a_role_sees_their_own_and_a_namesake_does_not(api: Api) -> None:
    create_collection(api, owner="depositor")

    mine = api.get("/collections/atlas", role="worker", name="depositor")
    theirs = api.get("/collections/atlas", role="worker", name="depositor", sub=STRANGER)

    assert mine.json["may_edit"] is True
    assert mine.json["may_deposit"] is False  # a worker may not submit
    assert theirs.status == 404


def test_a_change_needs_a_reason(api: Api) -> None:
    create_collection(api)

    for method, path, body in (
        ("PATCH", "", {"accepts_drops": True}),
        ("POST", "/allow", {"groups": ["depositor"]}),
        ("POST", "/deny", {"groups": ["depositor"]}),
        ("PATCH", "", WHY),
        ("POST", "/allow", WHY),
    ):
        assert api.request(method, f"/collections/atlas{path}", body=body).status == 422
    assert api.get("/collections/atlas").json["version"] == 1


def test_a_change_that_is_sent_twice_is_made_once(api: Api) -> None:
    create_collection(api)
    same = {"headers": {"idempotency-key": "k"}}

    first = api.post("/collections/atlas/allow", {**WHY, "groups": ["a"]}, **same)
    again = api.post("/collections/atlas/allow", {**WHY, "groups": ["a"]}, **same)

    assert first.json == again.json
    assert api.get("/collections/atlas").json["version"] == 2


def test_a_collection_has_bounded_lists_and_a_small_record(api: Api) -> None:
    create_collection(api)
    long = "ü" * 250

    for number in range(60):
        body = {"reason": long, "groups": [f"g{number % 15}".ljust(128, "x")]}
        assert api.post("/collections/atlas/allow", body).status == 200

    shown = api.get("/collections/atlas").json
    assert shown["version"] == 61
    assert shown["history"][0]["event"] == "create"
    assert len(shown["history"]) == 21
    found = collections.find("atlas")
    assert found is not None
    assert all(len(each.reason.encode()) <= 500 for each in found.changes)
    full = {f"{number:032x}": "n" for number in range(MAX_PEOPLE)}
    collections.put(found.changed(found.changes[-1], people=full))
    refused = api.post("/collections/atlas/allow", {**WHY, "people": ["depositor"]})
    assert refused.status == 400
    assert "allow a group instead" in refused.json["detail"]


def test_the_collection_names_the_recipients_if_the_submission_names_none(api: Api) -> None:
    create_collection(api, groups=["depositor"], notify=["maps@example.org"])
    wanted = {"collection": "atlas", "filename": "may.checkm"}

    by_itself = api.post("/batches", wanted, role="depositor").json["batch_id"]
    named = {**wanted, "notify": ["me@example.org"]}
    by_name = api.post("/batches", named, role="depositor").json["batch_id"]

    assert api.get(f"/batches/{by_itself}").json["notify"] == ["maps@example.org"]
    assert api.get(f"/batches/{by_name}").json["notify"] == ["me@example.org"]


@pytest.mark.parametrize("scope", ["everything", "collection:atlas"])
def test_a_collection_shows_what_holds_it(api: Api, scope: str) -> None:
    create_collection(api)
    holds.put(Hold(scope, "anna", "the shelf is moved", HOUR_AGO))
    holds.put(Hold("collection:other", "anna", "no matter", HOUR_AGO))

    for shown in (
        api.get("/collections/atlas").json,
        next(c for c in api.get("/collections").json["items"] if c["name"] == "atlas"),
    ):
        assert shown["hold"]["scope"] == scope
        assert "held by anna: the shelf is moved" in shown["hold"]["description"]


def test_collections_come_by_name_and_in_pages(api: Api) -> None:
    names = [each["name"] for each in api.get("/collections").json["items"]]

    found, cursor = [], ""
    while cursor is not None:
        page = api.get("/collections", query={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        found += [each["name"] for each in page.json["items"]]
        cursor = page.json["next_cursor"]

    assert found == names == sorted(names)
    assert len(names) > 3


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "ma ps"},
        {"name": "a" * 65},
        {"naans": ["1"]},
        {"naans": ["ark:/13030"]},
        {"groups": ["a,b"]},
        {"people": [""]},
        {"people": ["a\nb"]},
        {"notify": ["nobody"]},
        {"accepts_drops": "yes"},
        {"hold": True},
    ],
)
def test_an_invalid_collection_is_refused(api: Api, fields: dict[str, Any]) -> None:
    answer = api.post("/collections", {"name": "atlas", **fields})

    assert answer.status == 422
    assert api.get("/collections/atlas").status == 404
