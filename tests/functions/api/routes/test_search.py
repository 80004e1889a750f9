"""A search recognizes ids and names, shows what one may see, and says what it did not search."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.services.queries import search as search_queries
from jobyard.store import collections, objects
from tests.functions.api.api_client import Api, described
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.open_collections import an_open_collection

ARK = "ark:/13030/m5a"


def find(api: Api, q: str, role: str = "admin") -> list[tuple[str, str]]:
    return [
        (each["kind"], each["found_id"])
        for each in api.get("/find", role=role, query={"q": q}).json["items"]
    ]


def test_an_id_or_an_ark_finds_the_one_thing_that_has_it(api: Api) -> None:
    batch = a_batch("processing", entries=1)
    job = a_job(batch, 0, "failed").address.job_id
    schedule = a_schedule().schedule_id
    a_version(ARK)

    assert find(api, f" {batch.batch_id} ") == [("batch", batch.batch_id)]
    assert find(api, job) == [("job", job)]
    assert find(api, schedule) == [("schedule", schedule)]
    assert find(api, "ark:13030/m5-a") == [("object", ARK)]
    for found in (batch.batch_id, job, schedule, ARK):
        (item,) = api.get("/find", query={"q": found}).json["items"]
        assert api.get(item["links"]["self"].partition("/api")[2]).status == 200


def test_the_description_names_every_kind_of_match() -> None:
    description = described()["components"]["schemas"]["Match"]["properties"]["kind"]["description"]

    assert set(re.findall("`([^`]+)`", description)) == set(search_queries.MATCH_KINDS)


@pytest.mark.parametrize("text", ["maps box/1", "maps#box/1", "maps: box/1"])
def test_a_local_identifier_is_found_with_its_collection(api: Api, text: str) -> None:
    a_version(ARK)
    objects.identify("maps", ["box/1"], ARK)

    assert find(api, text) == [("object", ARK)]
    assert (
        "COLLECTION IDENTIFIER" in api.get("/find", query={"q": "box/1"}).json["not_searched"][-1]
    )


def test_names_are_found(api: Api) -> None:
    collections.put(replace(an_open_collection("atlases"), version=1))
    first = a_batch("completed", filename="Atlas-1.checkm", submitter="bo")
    second = a_batch("completed", filename="plans.checkm", submitter="atlas-scanner")
    schedule = a_schedule(title="Sweep the atlases")

    assert find(api, "atlas") == [
        ("collection", "atlases"),
        ("schedule", schedule.schedule_id),
        ("batch", first.batch_id),
        ("batch", second.batch_id),
    ]
    assert find(api, "nowhere") == []


def test_only_what_one_may_see_is_found(api: Api) -> None:
    theirs = a_batch("processing", submitter="bo", submitter_sub="s-bo", filename="plans.checkm")
    mine = a_batch("processing", filename="plans.csv")
    a_schedule(title="plans")
    schedule = a_schedule().schedule_id

    assert find(api, theirs.batch_id, role="depositor") == []
    assert find(api, schedule, role="operator") == []
    assert find(api, "plans", role="depositor") == [("batch", mine.batch_id)]
    assert {kind for kind, _ in find(api, "plans", role="viewer")} == {"batch"}
    assert find(api, "plans", role="") == []


def test_a_deleted_job_is_found_with_what_became_of_it(api: Api) -> None:
    deleted = a_batch("deleted", entries=1)

    (item,) = api.get("/find", query={"q": f"{deleted.batch_id}.0.0"}).json["items"]

    assert item["kind"] == "job"
    assert "was deleted" in item["why"]


def test_older_batches_are_not_searched_and_the_result_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_queries, "BATCHES_SEARCHED", 2)
    for number in range(3):
        at = HOUR_AGO + timedelta(minutes=number)
        a_batch("completed", filename=f"plan-{number}.csv", submitted_at=at)

    found = api.get("/find", query={"q": "plan"}).json

    assert [each["title"] for each in found["items"]] == ["plan-2.csv", "plan-1.csv"]
    assert found["batches_since"] == (HOUR_AGO + timedelta(minutes=1)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    assert found["not_searched"][0].startswith("batches submitted before 2026-11-20 09:35 UTC")


def test_of_many_matches_the_first_are_listed_and_all_of_one_kind_on_request(api: Api) -> None:
    for number in range(12):
        a_batch("completed", filename=f"plan-{number}.csv", submitter="planner")
    schedule = a_schedule(title="a plan").schedule_id

    some = api.get("/find", query={"q": "plan"}).json
    batches = api.get("/find", query={"q": "plan", "kind": "batch"}).json
    schedules = api.get("/find", query={"q": "plan", "kind": "schedule"}).json

    assert (len(some["items"]), some["more"]) == (11, ["batch"])
    assert (len({each["found_id"] for each in batches["items"]}), batches["more"]) == (12, [])
    assert [each["found_id"] for each in schedules["items"]] == [schedule]
    assert api.get("/find", query={"q": "plan", "kind": "plan"}).status == 400


def test_titles_of_schedules_that_are_not_searched_are_named(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_queries, "SCHEDULES_SEARCHED", 1)
    for title in ("a sweep", "b sweep"):
        a_schedule(title=title)

    found = api.get("/find", query={"q": "sweep"}).json
    operators = api.get("/find", role="operator", query={"q": "sweep"}).json

    assert len(found["items"]) == 1
    assert "schedules after the first 1 titles in alphabetical order" in found["not_searched"]
    assert not [each for each in operators["not_searched"] if "schedules" in each]


@pytest.mark.parametrize("what", ["date", "error text", "objects by file name or title"])
def test_what_is_never_searched_is_named(api: Api, what: str) -> None:
    named = api.get("/find", query={"q": "anything"}).json["not_searched"]

    assert [each for each in named if what in each]


@pytest.mark.parametrize("text", [" ", "x" * 301])
def test_a_text_that_is_empty_or_too_long_is_refused(api: Api, text: str) -> None:
    assert api.get("/find", query={"q": text}).status in {400, 422}
