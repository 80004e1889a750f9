"""Nobody writes on objects of others: each way in is tried as every role, and as a stranger of the
same role and name. What belongs to the collection `theirs` stays the same byte for byte."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count, product
from typing import Any

import pytest

from jobyard.domain.access import ROLES
from jobyard.domain.batches.operation import Filter
from jobyard.domain.collection import Collection
from jobyard.domain.errors import BadRequest, Forbidden, JobyardError, NotFound
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.objects import ObjectVersion
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services import collections as changing
from jobyard.services.batches import operations, submissions
from jobyard.services.batches.submissions import Submission
from jobyard.services.collections import CollectionEdit
from jobyard.services.context import Actor
from jobyard.services.schedules.commands import ScheduleSpec, create
from jobyard.store import collections, jobs, objects, tables
from tests.call_interceptor import Call, Listener
from tests.harness import Harness, Payloads
from tests.open_collections import an_open_collection
from tests.people import sub_of

SUBMITTERS = ("depositor", "operator", "admin")
HEADER = "fileUrl,hashAlgorithm,hashValue,fileSize,fileName,primaryIdentifier,localIdentifier,title"
WHY = "because"
_numbers = count(1)


def person(role: str, name: str = "", sub: str = "") -> Actor:
    """A person of a role; one with the name of the owner's friend need not be that friend."""
    return Actor(sub or sub_of(f"stranger {role}"), name or role, frozenset({role, "strangers"}))


FRIEND = Actor(sub_of("friend"), "friend", frozenset({"depositor"}))
NAMES = ("", FRIEND.name, "curator", "machine", "s3")  # a stranger's name; "": the role's
# An ark; its parts and variants belong to its owner too.
SPELLINGS = (
    *("{}", "https://n2t.net/{}", "{}-", "{}/", "{}.", "ark:{bare}", "ARK:/{bare}"),
    *("{}/part", "{}/part.tiff", "{}.tiff", "{}%2Fpart", "ark:/99999/%66{rest}", "{}%2D"),
)


class Field:
    """Two collections: `theirs`, into which a friend has deposited, and `ours`, into which
    strangers may.

    Each has names of its own in every test.
    """

    def __init__(self, harness: Harness, payloads: Payloads) -> None:
        self.harness, self.payloads = harness, payloads
        number = next(_numbers)
        self.theirs, self.ours = f"theirs-{number}", f"ours-{number}"
        self.ark = f"ark:/99999/famous{number}"
        self._files = count(1)
        self._make(self.theirs, people={FRIEND.sub: FRIEND.name}, naans=("99999",))
        # Strangers may use 99999 too: only the object is not theirs.
        naans = ("12345", "99999")
        self._make(self.ours, groups=frozenset({"strangers"}), naans=naans, accepts_drops=True)
        for primary, local in ((self.ark, "box:1"), ("", "box:2")):
            batch_id = self.submit(FRIEND, self.theirs, self.row(primary, local))
            assert self.jobs_of(batch_id)[0].state is JobState.SUCCEEDED

    def _make(self, name: str, **rights: Any) -> None:
        bare = replace(an_open_collection(name), groups=frozenset(), naans=(), accepts_drops=False)
        collections.put(replace(bare, **rights))

    def change(self, name: str, **rights: Any) -> None:
        """Change a collection in the table."""
        found = self.found(name)
        collections.put(replace(found, version=found.version + 1, **rights))

    def found(self, name: str) -> Collection:
        found = collections.find(name)
        assert found is not None
        return found

    def row(self, primary: str = "", local: str = "", content: str = "") -> str:
        """A manifest of one file with these identifiers; the file is on the web server."""
        name = f"{self.theirs}-{next(self._files)}.txt"
        self.payloads.files[f"/{name}"] = (content or name).encode()
        return f"{HEADER}\n{self.payloads.url}/{name},,,,{name},{primary},{local},A file\n"

    def submit(
        self, who: Actor, collection: str, text: str, parameters: Mapping[str, Any] | None = None
    ) -> str:
        """Submit a manifest and run the machines. Returns the batch's id."""
        profile = "" if text.startswith(HEADER[:9]) else "mrt-ingest-manifest"
        wanted = Submission(
            collection, "m.csv", "deposit", profile, ("d@example.org",), parameters or {}, ""
        )
        batch, upload = submissions.submit(wanted, self.harness.context(who))
        assert upload.fields["key"] == f"manifests/{collection}/{batch.batch_id}/m.csv"
        self.land(upload.fields["key"], text)
        return batch.batch_id

    def land(self, key: str, text: str) -> str:
        """Drop a manifest in the bucket and run the machines. Returns the batch's id."""
        version = self.harness.s3.put_object(Bucket="intake", Key=key, Body=text.encode())[
            "VersionId"
        ]
        found = {"key": key, "size": len(text.encode()), "version-id": version}
        event = {"detail": {"bucket": {"name": "intake"}, "object": found}}
        self.harness.machines.run("batch", f"landed-{version}", event)
        self.harness.machines.run_all()
        return self.harness.batch_id_of(event)

    def jobs_of(self, batch_id: str) -> list[JobRecord]:
        return list(jobs.of_chunk(batch_id, 0))

    def all_of_theirs(self) -> dict[str, Any]:
        """All records and stored bytes of the objects of `theirs`, and its local ids."""
        versions = [
            (item.ark, item.number, item.job_id, item.body)
            for item in tables.ObjectItem.scan()
            if item.body["collection"] == self.theirs
        ]
        arks = {ark for ark, *_ in versions}
        of_arks = sorted(
            (item.ark, item.number) for item in tables.ObjectItem.scan() if item.ark in arks
        )
        local = {
            item.identifier: item.ark
            for item in tables.IdentifierItem.scan()
            if item.identifier.startswith(f"{self.theirs}#")
        }
        folders = {ark.replace(":/", "-").replace("/", "-") for ark in arks}
        pages = self.harness.s3.get_paginator("list_objects_v2").paginate(Bucket="archive")
        stored = {
            found["Key"]: found["ETag"]
            for page in pages
            for found in page.get("Contents", ())
            if found["Key"].split("/")[0] == "objects" and found["Key"].split("/")[1] in folders
        }
        assert len(stored) == len(of_arks) == 2
        return {"versions": versions, "of_arks": of_arks, "local": local, "stored": stored}


@pytest.fixture
def field(harness: Harness, payloads: Payloads) -> Iterator[Field]:
    field = Field(harness, payloads)
    before = field.all_of_theirs()
    yield field
    assert field.all_of_theirs() == before


def stopped(field: Field, batch_id: str, code: str) -> JobRecord:
    """The only job of a batch, which failed with `code`."""
    (job,) = field.jobs_of(batch_id)
    assert (job.state, job.failure_code) == (JobState.FAILED, code), job.failure_message
    return job


# By submission


def test_a_stranger_is_refused_at_submission_whatever_their_name(field: Field) -> None:
    text = field.row(field.ark, "box:1")
    for role, name in product(sorted(set(ROLES) - {"admin"}), NAMES):
        with pytest.raises((Forbidden, NotFound)) as refused:
            field.submit(person(role, name), field.theirs, text)

        assert "deposit" in str(refused.value) or "submitting is for" in str(refused.value)


def test_a_missing_collection_accepts_nothing_from_anyone(field: Field) -> None:
    for role in sorted(ROLES):
        with pytest.raises((Forbidden, NotFound)):
            field.submit(person(role), "nowhere", field.row(field.ark))


# From their own collection


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_no_spelling_of_an_ark_gives_access_to_its_object(field: Field, role: str) -> None:
    for spelling in SPELLINGS:
        bare = field.ark.removeprefix("ark:/")
        primary = spelling.format(field.ark, bare=bare, rest=bare.removeprefix("99999/f"))

        batch_id = field.submit(person(role), field.ours, field.row(primary))

        found = field.jobs_of(batch_id)
        assert all(job.state is JobState.FAILED for job in found), spelling
        assert not found or found[0].failure_code == "IDENTIFIER_CONFLICT"


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_an_ark_with_a_local_id_gives_no_access_to_an_object(field: Field, role: str) -> None:
    batch_id = field.submit(person(role), field.ours, field.row(field.ark, "box:1"))

    stopped(field, batch_id, "IDENTIFIER_CONFLICT")


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_a_submissions_fields_do_not_give_access_to_an_object(field: Field, role: str) -> None:
    name = field.row().split(",")[-4]
    lines = (
        "#%checkm_0.7",
        "#%profile | http://uc3.cdlib.org/registry/ingest/manifest/mrt-ingest-manifest",
        "#%prefix | mrt: | http://merritt.cdlib.org/terms#",
        "#%prefix | nfo: | http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#",
        "#%fields | nfo:fileUrl | nfo:hashAlgorithm | nfo:hashValue | nfo:fileSize"
        " | nfo:fileLastModified | nfo:fileName | mrt:mimeType",
        f"{field.payloads.url}/{name} | | | | | {name} |",
        "#%eof",
    )
    fields = {"primary": field.ark, "local": ["box:1"]}

    batch_id = field.submit(person(role), field.ours, "\n".join(lines), fields)

    stopped(field, batch_id, "IDENTIFIER_CONFLICT")


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_a_local_id_belongs_to_ones_own_object(field: Field, role: str) -> None:
    for local in ("box:1", "box:2", f"{field.theirs}#box:1", "#box:1"):
        batch_id = field.submit(person(role), field.ours, field.row("", local))

        (job,) = field.jobs_of(batch_id)
        assert job.state is JobState.SUCCEEDED
        latest = objects.latest(job.data["ark"])
        assert latest is not None
        assert latest.collection == field.ours


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_nobody_takes_an_unused_ark_of_another_authority(field: Field, role: str) -> None:
    batch_id = field.submit(person(role), field.ours, field.row("ark:/13030/famousname"))

    job = stopped(field, batch_id, "ARK_NOT_ALLOWED")
    assert "13030" in job.failure_message
    assert objects.latest("ark:/13030/famousname") is None


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"admin"}))
def test_an_owner_gives_their_collection_no_authority_to_squat(field: Field, role: str) -> None:
    owner = person(role)
    field.change(field.ours, owner=owner.name, owner_sub=owner.sub)
    before = field.found(field.ours)

    with pytest.raises(Forbidden, match="13030"):
        changing.edit(
            field.ours, CollectionEdit(naans=(*before.naans, "13030")), field.harness.context(owner)
        )

    assert field.found(field.ours) == before


@pytest.mark.turns(3)
@pytest.mark.parametrize("role", SUBMITTERS)
def test_a_local_id_assigned_to_an_ark_in_advance_gives_no_access(field: Field, role: str) -> None:
    """Claimed by a job that failed, before its owner deposited the object."""
    ark = f"{field.ark}b"
    assert objects.identify(field.ours, ["mine"], ark) == ark  # as a job does that then fails
    field.submit(FRIEND, field.theirs, field.row(ark))
    before = list(tables.ObjectItem.query(ark))

    batch_id = field.submit(person(role), field.ours, field.row("", "mine"))

    stopped(field, batch_id, "IDENTIFIER_CONFLICT")
    assert len(list(tables.ObjectItem.query(ark))) == len(before) == 1
    _forget(field, ark)


def test_of_two_collections_that_begin_an_object_at_once_one_has_it(field: Field) -> None:
    """The other has seen no object of that ark, for none is recorded yet."""
    ark = f"{field.ark}c"
    blind = _Blind()
    with field.harness.interceptor.listening(blind):
        theirs = field.submit(FRIEND, field.theirs, field.row(ark))
        ours = field.submit(person("depositor"), field.ours, field.row(ark))

    (winner,), (loser,) = field.jobs_of(theirs), field.jobs_of(ours)
    assert winner.state is JobState.SUCCEEDED
    assert (loser.state, loser.failure_code) == (JobState.FAILED, "IDENTIFIER_CONFLICT")
    assert blind.hid
    recorded = [(item.number, item.body["collection"]) for item in tables.ObjectItem.query(ark)]
    assert recorded == [(1, field.theirs)]
    _forget(field, ark)


class _Blind(Listener):
    """Hides all records of objects from queries for the latest."""

    hid = False

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "Query" and "objects" in call.parameters["TableName"]:
            self.hid |= bool(parsed["Items"])
            parsed |= {"Items": [], "Count": 0, "ScannedCount": 0}
            parsed.pop("LastEvaluatedKey", None)


def _forget(field: Field, ark: str) -> None:
    """Remove what a friend deposited during a test, so that the rest can be compared."""
    for item in tables.ObjectItem.query(ark):
        item.delete()


# By a dropped manifest


@pytest.mark.parametrize(
    "key", ["manifests/{theirs}/m.csv", "manifests/{theirs}/deep/m.csv", "manifests/nowhere/m.csv"]
)
def test_a_dropped_manifest_has_the_rights_of_its_collection_and_is_reported_to_operators(
    field: Field, key: str
) -> None:
    batch_id = field.land(key.format(theirs=field.theirs), field.row(field.ark, "box:1"))

    view = field.harness.batch(batch_id)
    assert (view.batch.state, view.batch.entries) == ("failed", 0)
    assert "collection" in view.batch.failure_message
    assert view.batch.notify == ("operators@example.org",)
    (mail,) = field.harness.mails_of(batch_id)
    assert mail.to == ("operators@example.org",) or list(mail.to) == ["operators@example.org"]


def test_a_drop_in_ones_own_collection_gives_no_access_to_theirs(field: Field) -> None:
    batch_id = field.land(f"manifests/{field.ours}/m.csv", field.row(field.ark, "box:1"))

    stopped(field, batch_id, "IDENTIFIER_CONFLICT")


@pytest.mark.parametrize(
    "key",
    ["manifests/{ours}/{batch}/m.csv", "manifests/{theirs}/{batch}/other.csv"],
)
def test_a_drop_under_the_announced_key_of_another_person_is_a_drop(field: Field, key: str) -> None:
    wanted = Submission(field.theirs, "m.csv", "deposit", "", ("d@example.org",), {}, "")
    promised, _ = submissions.submit(wanted, field.harness.context(FRIEND))
    where = key.format(ours=field.ours, theirs=field.theirs, batch=promised.batch_id)

    batch_id = field.land(where, field.row("", "box:1"))

    assert batch_id != promised.batch_id
    assert field.harness.batch(promised.batch_id).batch.source is None
    dropped = field.harness.batch(batch_id).batch
    assert (dropped.submitter_sub, dropped.collection) == ("", where.split("/")[1])


def test_an_upload_is_signed_for_the_one_key_that_was_promised(field: Field) -> None:
    wanted = Submission(field.ours, "m.csv", "deposit", "", (), {}, "")

    batch, upload = submissions.submit(wanted, field.harness.context(person("depositor")))

    policy = json.loads(base64.b64decode(upload.fields["policy"]))
    signed = [each for each in policy["conditions"] if isinstance(each, dict)]
    assert {"bucket": "intake"} in signed
    assert {"key": f"manifests/{field.ours}/{batch.batch_id}/m.csv"} in signed
    assert [each for each in policy["conditions"] if "starts-with" in each] == []


def test_a_right_removed_before_the_upload_gives_no_access(field: Field) -> None:
    who = person("depositor")
    people = field.found(field.theirs).people
    field.change(field.theirs, people={**people, who.sub: who.name})
    wanted = Submission(field.theirs, "m.csv", "deposit", "", ("d@example.org",), {}, "")
    _, upload = submissions.submit(wanted, field.harness.context(who))
    field.change(field.theirs, people=people)

    batch_id = field.land(upload.fields["key"], field.row(field.ark, "box:1"))

    batch = field.harness.batch(batch_id).batch
    assert (batch.state, batch.entries, batch.submitter_sub) == ("failed", 0, who.sub)
    assert "may not deposit" in batch.failure_message


# By later work


def requeue(field: Field, job: JobRecord) -> None:
    """An operator requeues the job, alone and as one of many."""
    operator = person("operator")
    field.harness.send_job_event(job.address.job_id, "requeue", person=operator)
    batch_id = job.address.origin_id
    operations.change_jobs(
        batch_id, "requeue", Filter(JobState.FAILED), field.harness.context(operator)
    )
    field.harness.machines.run_all()


@pytest.mark.parametrize("role", ["depositor", "operator"])
def test_a_requeue_does_not_restore_a_removed_right(field: Field, role: str) -> None:
    who = person(role)
    rights = field.found(field.theirs)
    field.change(field.theirs, people={**rights.people, who.sub: who.name})
    text = field.row("", "box:1")
    (path,) = [path for path in field.payloads.files if path[1:] in text]
    field.payloads.status[path] = 404
    batch_id = field.submit(who, field.theirs, text)
    (job,) = field.jobs_of(batch_id)
    assert job.failure_code == "PAYLOAD_NOT_FOUND"
    field.payloads.status.clear()
    field.change(field.theirs, people=rights.people)

    requeue(field, job)

    stopped_again = stopped(field, batch_id, "DEPOSIT_NOT_ALLOWED")
    assert stopped_again.requeue_count == 2
    assert f"collection allow {field.theirs}" in stopped_again.failure_message


def test_the_removal_of_a_right_stops_running_jobs(field: Field) -> None:
    """The worker checks access every two seconds, and before each write."""
    who = person("depositor")
    people = field.found(field.theirs).people
    field.change(field.theirs, people={**people, who.sub: who.name})
    reads = _CollectionReads()

    class Slow(dict[str, bytes]):
        """Files of a server that takes three seconds, during which the right is removed."""

        denied = False

        def get(self, path: str, default: Any = None) -> Any:
            if not self.denied:
                self.denied = True
                field.change(field.theirs, people=people)
                reads.since.clear()
                field.harness.advance(3)
                assert reads.since.wait(60)
            return super().get(path, default)

    text = field.row("", "box:1")
    field.payloads.files = files = Slow(field.payloads.files)
    with field.harness.interceptor.listening(reads):
        batch_id = field.submit(who, field.theirs, text)

    assert files.denied
    stopped(field, batch_id, "DEPOSIT_NOT_ALLOWED")


class _CollectionReads(Listener):
    """Notes that a collection was read."""

    def __init__(self) -> None:
        self.since = threading.Event()

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "BatchGetItem" and any(
            "collections" in table for table in call.parameters["RequestItems"]
        ):
            self.since.set()


def test_no_schedule_deposits(field: Field) -> None:
    rule = recurrence_of({"kind": "daily", "at": "02:30", "zone": "UTC"} | _ANCHOR)
    parameters = {"collection": field.theirs, "primary": field.ark}
    wanted = ScheduleSpec("Deposits", "deposit", rule, Policy(), parameters)

    for role in sorted(ROLES):
        with pytest.raises((BadRequest, Forbidden)):
            create(wanted, field.harness.context(person(role)))


_ANCHOR = {"anchor": "2026-11-01"}


# By changing the collection


Change = Callable[[Field, Actor], object]
CHANGES: list[Change] = [
    lambda field, who: changing.edit(
        field.theirs, CollectionEdit(accepts_drops=True), field.harness.context(who)
    ),
    lambda field, who: changing.edit(
        field.theirs,
        CollectionEdit(owner=who.name),
        field.harness.context(who),
    ),
    lambda field, who: changing.allow(
        field.theirs, [who.name], ["strangers"], field.harness.context(who)
    ),
    lambda field, who: changing.deny(field.theirs, [FRIEND.sub], [], field.harness.context(who)),
    lambda field, who: changing.create(
        field.theirs,
        CollectionEdit(accepts_drops=True),
        [],
        ["strangers"],
        field.harness.context(who),
    ),
]


def test_nobody_grants_themselves_access(field: Field) -> None:
    before = field.found(field.theirs)

    for change, role, name in product(CHANGES, sorted(set(ROLES) - {"admin"}), NAMES):
        with pytest.raises(JobyardError):
            change(field, person(role, name))

    assert field.found(field.theirs) == before


def test_an_admin_cannot_create_an_existing_collection(field: Field) -> None:
    before = field.found(field.theirs)

    with pytest.raises(JobyardError):
        CHANGES[-1](field, person("admin"))

    assert field.found(field.theirs) == before


# People with the right


def test_a_friend_may_write_new_versions(harness: Harness, payloads: Payloads) -> None:
    field = Field(harness, payloads)
    for primary, local in ((field.ark, ""), ("", "box:1"), (field.ark, "box:1")):
        batch_id = field.submit(FRIEND, field.theirs, field.row(primary, local))

        (job,) = field.jobs_of(batch_id)
        assert (job.state, job.data["ark"]) == (JobState.SUCCEEDED, field.ark)
    latest: ObjectVersion | None = objects.latest(field.ark)
    assert latest is not None
    assert (latest.version, latest.collection) == (4, field.theirs)
