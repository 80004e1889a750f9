"""People are identified by ids: a name is only shown, and gives no rights."""

from typing import Any

import pytest

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.operation import Filter
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobState
from jobyard.store import batches, calendars, holds, jobs, schedules
from jobyard.store.documents import parse_history
from jobyard.store.tables import BatchItem
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job
from tests.functions.api.schedule_records import wanted
from tests.people import sub_of

NEW = "0f0e0d0c-1111-4222-8333-444455556666"


def dropped() -> Batch:
    """A batch of a dropped manifest."""
    return a_batch(submitter="s3", submitter_sub="")


def submit(api: Api, **who: Any) -> Any:
    """The answer to a submission, always with the same key."""
    wanted = {"collection": "maps", "filename": "may.checkm", "notify": []}
    return api.post("/batches", wanted, headers={"idempotency-key": "k"}, **who)


@pytest.mark.parametrize("name", ["s3", "machine"])
def test_a_person_with_a_name_of_the_system_sees_nothing_of_the_system(api: Api, name: str) -> None:
    batch = dropped()

    assert api.get("/batches", role="depositor", name=name).json["items"] == []
    assert api.get(f"/batches/{batch.batch_id}", role="depositor", name=name).status == 404


def test_a_new_person_of_the_same_name_sees_nothing_of_the_former_one(api: Api) -> None:
    batch = a_batch()

    assert api.get("/batches", role="depositor", sub=NEW).json["items"] == []
    assert api.get(f"/batches/{batch.batch_id}", role="depositor", sub=NEW).status == 404


def test_a_batch_from_before_ids_has_no_owner_and_stays_readable(api: Api) -> None:
    batch = a_batch(submitter=NEW, submitter_sub="")  # somebody chose a name that looks like an id

    shown = api.get(f"/batches/{batch.batch_id}").json
    assert (shown["submitter"], shown["submitter_id"]) == (NEW, "")
    assert api.get("/batches", role="depositor", name="x", sub=NEW).json["items"] == []
    assert api.get(f"/batches/{batch.batch_id}", role="depositor", name=NEW).status == 404
    assert batches.get(batch.batch_id, HOUR_AGO) == batch


def test_a_batch_is_found_by_its_submitters_id_and_shown_with_their_name(api: Api) -> None:
    batch = a_batch(submitter="anna", submitter_sub=NEW)

    assert BatchItem.get(batch.batch_id).submitter == NEW
    (shown,) = api.get("/batches", role="depositor", name="Anna", sub=NEW).json["items"]
    assert (shown["submitter"], shown["submitter_id"]) == ("anna", NEW)


def test_two_people_of_one_name_do_not_get_each_others_answers(api: Api) -> None:
    one, other = submit(api, role="depositor"), submit(api, role="depositor", sub=NEW)

    assert one.status == other.status == 201
    assert one.json["batch_id"] != other.json["batch_id"]
    assert submit(api, role="depositor").json == one.json


def test_a_report_does_not_go_to_a_new_person_of_the_same_name(api: Api) -> None:
    wanted = {"collection": "maps", "filename": "may.checkm"}
    made = api.post("/batches", wanted, role="depositor", sub=NEW).json

    shown = api.get(f"/batches/{made['batch_id']}").json
    assert shown["notify"] == ["operators@example.org"]


def test_a_hold_of_a_person_named_machine_is_that_persons(api: Api) -> None:
    batch = a_batch(entries=1)
    body = {"reason": "mine"}
    held = api.post(f"/jobs/{batch.batch_id}.0.0/hold", body, role="operator", name="machine")
    shown = api.get(f"/jobs/{batch.batch_id}.0.0").json

    assert held.status == 200
    assert shown["waiting_reason"] == "held by machine: mine"
    assert shown["history"][-1]["actor_id"] == sub_of("machine")
    (job,) = jobs.of_chunk(batch.batch_id, 0)
    assert not Filter(JobState.HELD, by_machine=True).matches(job)


def test_a_hold_of_the_machine_is_the_machines(api: Api) -> None:
    batch = a_batch(entries=1)
    job = a_job(batch, 0, "held")

    assert Filter(JobState.HELD, by_machine=True).matches(job)
    assert api.get(f"/jobs/{batch.batch_id}.0.0").json["history"][-1]["actor_id"] == ""


def test_a_hold_has_its_owners_id_and_older_ones_have_none(api: Api) -> None:
    api.request("PUT", "/holds/everything", role="operator", body={"reason": "moving"})
    older = Hold("type:deposit", "an-operator", "moving", HOUR_AGO)
    holds.put(older)

    placed = holds.find("everything")
    assert placed is not None
    assert (placed.owner, placed.owner_sub) == ("operator", sub_of("operator"))
    assert holds.find("type:deposit") == older


def test_a_schedule_and_a_calendar_have_their_creators_id(api: Api) -> None:
    api.request("PUT", "/calendars/holidays", body={"reason": "new"})
    made = api.post("/schedules", wanted()).json

    kept = calendars.find("holidays")
    assert kept is not None
    assert kept.changes[-1].sub == sub_of("admin")
    found = schedules.get(made["schedule_id"])
    assert (found.owner, found.owner_sub) == ("admin", sub_of("admin"))


def test_what_is_older_than_ids_is_read_as_it_was_stored(api: Api) -> None:
    batch = a_batch(entries=1)
    line = ["hold", "scheduled", "held", 1, "r1", "an-operator", "mine"]  # as it was before
    assert parse_history([line])[0].sub == ""
    assert not parse_history([line])[0].by_machine
    assert parse_history([["hold", "scheduled", "held", 1, "r1", "machine", "held"]])[0].by_machine
    assert batches.get(batch.batch_id, HOUR_AGO).submitter_sub == sub_of("depositor")
