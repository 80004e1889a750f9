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


def test_an_object_is_found_by_the_name_of_its_file_in_the_newest_batches_of_its_collection(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    collections.put(replace(an_open_collection("maps"), version=1))
    batch = a_batch("processing", entries=30, filename="may.checkm")
    for number in (7, 27):
        a_job(batch, number, "succeeded", data={"ark": f"ark:/13030/m{number}"})
    a_job(batch, 17, "failed", data={"ark": ARK})

    found = api.get("/find", query={"q": "maps 7"}).json["items"]

    assert [(each["found_id"], each["why"]) for each in found] == [
        ("ark:/13030/m7", "7, of may.checkm"),
        ("ark:/13030/m27", "27, of may.checkm"),
    ]
    assert find(api, "maps 7", role="") == []
    monkeypatch.setattr(search_queries, "FILE_CHUNKS", 1)
    missing = api.get("/find", query={"q": "maps 7"}).json["not_searched"]
    assert [each for each in missing if "objects of maps by file name beyond 1 chunk" in each]


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


def test_a_day_finds_the_batches_that_were_submitted_on_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = HOUR_AGO.replace(hour=23, minute=59)
    named = a_batch("completed", filename=f"{day:%Y-%m-%d}.csv", submitted_at=day)
    first = a_batch("completed", submitted_at=HOUR_AGO)
    theirs = a_batch("completed", submitted_at=HOUR_AGO - timedelta(hours=2), submitter_sub="s-bo")
    for days in (-1, 1):
        a_batch("completed", submitted_at=HOUR_AGO + timedelta(days=days))
    batches = [("batch", each.batch_id) for each in (named, first, theirs)]

    assert find(api, f"{day:%Y-%m-%d}") == batches
    assert find(api, f"{day:%Y-%m-%d}", role="depositor") == batches[:2]
    assert find(api, "2026-02-30") == []
    monkeypatch.setattr(search_queries, "BATCHES_SEARCHED", 2)
    missing = api.get("/find", query={"q": f"{day:%Y-%m-%d}"}).json["not_searched"]
    assert f"batches of {day:%Y-%m-%d} before the last 2 of that day" in missing


@pytest.mark.parametrize("text", ["DIGEST_MISMATCH", "digest mismatch", "mismatch"])
def test_a_failure_code_finds_the_recent_batches_with_such_jobs(api: Api, text: str) -> None:
    failed, other = a_batch("failed", entries=2), a_batch("processing", entries=1)
    for number in range(2):
        a_job(failed, number, "failed", failure_code="DIGEST_MISMATCH")
    a_job(other, 0, "failed", failure_code="PAYLOAD_NOT_FOUND")

    (item,) = api.get("/find", query={"q": text}).json["items"]

    assert (item["found_id"], item["why"]) == (failed.batch_id, "2 jobs with DIGEST_MISMATCH")


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


@pytest.mark.parametrize("what", ["date", "error text", "objects by title; by file name"])
def test_what_is_never_searched_is_named(api: Api, what: str) -> None:
    named = api.get("/find", query={"q": "anything"}).json["not_searched"]

    assert [each for each in named if what in each]


@pytest.mark.parametrize("text", [" ", "x" * 301])
def test_a_text_that_is_empty_or_too_long_is_refused(api: Api, text: str) -> None:
    assert api.get("/find", query={"q": text}).status in {400, 422}
