"""Whole edit jobs in process: people act, the machine does the rest."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.next_step import next_step
from jobyard.domain.edits.upload import UploadKind
from jobyard.domain.edits.work import MAX_CHILDREN
from jobyard.domain.errors import Forbidden, InvalidTransition
from jobyard.services.edits import allocations, claims
from jobyard.services.edits.settings import put_settings
from jobyard.services.edits.work_files import log_key
from jobyard.services.executions import Executions
from jobyard.services.queries import edit_details
from jobyard.services.queries import edits as edit_queries
from jobyard.services.recovery import recover_slice
from jobyard.store import commits, datasets, edits, usage
from tests.edit_stories import ADMIN, ANNA, BEN, PLANNER, RALF, RITA, TWENTY, EditStory, square
from tests.harness import Harness

pytestmark = pytest.mark.emulator
NO_OVERLAP = [{"rule": "no_overlap"}]
UNIQUE = [{"rule": "unique", "properties": ["code"]}]


def renamed(feature_id: str, **properties: Any) -> Feature:
    """One of the twenty features with other properties."""
    feature = TWENTY[int(feature_id)]
    return Feature(feature_id, feature.geometry, {**feature.properties, **properties})


def started(story: EditStory, person: Any = ANNA, **fields: Any) -> str:
    """An edit job of the whole world that a worker has downloaded."""
    edit_id = story.propose(**fields)
    story.allocate(edit_id)
    story.take(edit_id, person)
    return edit_id


def test_an_edit_goes_from_a_proposal_to_what_is_live(harness: Harness) -> None:
    story = EditStory(harness)

    edit_id = story.propose({"box": [-1, -1, 5.5, 9]})
    assert story.state(edit_id) == "proposed"
    story.allocate(edit_id)
    about = story.take(edit_id)
    assert story.state(edit_id) == "downloaded"
    story.upload(edit_id, renamed("0", name="new"), square("99", 50, 50), deleted=["1"])

    job = story.edit(edit_id)
    assert job.state == "completed", job.problem
    assert (about["package_id"], about["features"]) == (f"{edit_id}.1.0", 12)
    assert [each.event for each in job.history] == [
        *("propose", "allocate", "activate", "prepare", "download"),
        *("upload", "accept", "commit", "publish", "complete"),
    ]
    assert story.properties() == {
        **{each.feature_id: dict(each.properties) for each in TWENTY if each.feature_id != "1"},
        "0": {"name": "new", "x": 0},
        "99": {},
    }
    made = commits.find("counties", 2)
    assert made is not None
    assert (made.inserted, made.updated, made.deleted) == (1, 1, 1)
    assert [each.name for each in made.origin.authors] == ["anna"]
    assert [(each["dataset"], each["revision"]) for each in harness.published] == [("counties", 2)]
    stored = harness.s3.list_objects_v2(Bucket="work", Prefix=f"edits/{edit_id}/")["Contents"]
    (report,) = [each["Key"] for each in stored]  # what was found in the file stays
    assert report.startswith(f"edits/{edit_id}/log/upload-")
    used = dict(usage.parts_of(edit_id))
    assert [*used] == ["edit check", "edit commit", "edit prepare"]
    read = "Start", "Prepare", "Prepared"
    entered = (*read, "Done"), (*read, "Check", "Checked")
    committed = ("Commit", "Committed") * 3, ("Done",)
    assert sum(each.transitions for each in used.values()) == sum(map(len, entered + committed))
    assert all(each.invocations and each.mb_ms for each in used.values())


def test_one_edit_job_is_repaired_corrected_approved_decided_and_committed(
    harness: Harness,
) -> None:
    story = EditStory(harness, rules=UNIQUE, quarantine=True)
    edit_id, rival = started(story), started(story, BEN, quarantine=False)
    types: list[str] = []

    def next_child(person: Any = ANNA) -> str:
        child = story.child(edit_id)
        types.append(child.failure_type.value)
        story.take(child.child_id, person)
        return child.child_id

    story.upload(edit_id, renamed("0", code="a"), renamed("1", code="a"))
    story.upload(next_child(), renamed("1", code="b"))
    story.upload(rival, renamed("0", code="z"), person=BEN)
    story.decide(next_child(RITA), "require_corrections")
    story.upload(next_child(), renamed("2", name="corrected"))
    story.decide(next_child(RITA), "approve")
    story.upload(next_child(), choices={"0": "mine"})

    assert types == [
        *("VALIDATION", "QUARANTINE_REVIEW", "QUARANTINE_CORRECTIONS"),
        *("QUARANTINE_REVIEW", "CONFLICT"),
    ]
    assert [story.state(each) for each in (edit_id, rival)] == ["completed"] * 2
    live = story.properties()
    assert [live[each].get("code") for each in "012"] == ["a", "b", None]
    assert live["2"]["name"] == "corrected"
    assert [each["revision"] for each in harness.published] == [2, 3]


def test_what_children_use_counts_for_their_edit_job(harness: Harness) -> None:
    story = EditStory(harness, rules=UNIQUE)
    edit_id = started(story)
    story.upload(edit_id, renamed("0", code="a"), renamed("1", code="a"))
    before = usage.of_origin(edit_id)
    fixup_id = story.edit(edit_id).open_child

    story.take(fixup_id)

    assert usage.of_origin(edit_id).invocations == before.invocations + 1
    assert [*usage.parts_of(fixup_id)] == []


def test_a_package_has_what_is_around_the_extent_as_context(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = story.propose({"features": ["6"]}, buffer=1.0)
    story.allocate(edit_id)

    story.take(edit_id)

    assert set(story.packed(edit_id)) == {"6"}
    around = {"0", "1", "2", "5", "7", "10", "11", "12"}
    assert set(story.packed(edit_id, "context.geojson")) == around
    assert "read-only" in story.upload(edit_id, renamed("5", name="mine")).problem
    assert "outside the package" in story.upload(edit_id, renamed("19", name="mine")).problem
    assert story.state(edit_id) == "downloaded"


def test_a_grown_extent_holds_its_features_as_a_whole(harness: Harness) -> None:
    wide = square("wide", 0, 20, 10)
    inside = square("in", 9, 29.5, 0.1)
    story = EditStory(harness, [*TWENTY, wide, inside], grow_extent=True)
    edit_id = story.propose({"box": [-1, 19, 1, 21]})
    story.allocate(edit_id)

    story.take(edit_id)

    assert set(story.packed(edit_id)) == {"wide", "in"}


def test_a_whole_upload_that_forgets_many_features_deletes_none(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)

    refused = story.upload(edit_id, *TWENTY[:2], kind=UploadKind.WHOLE)
    assert refused.state == "downloaded"
    assert "it deletes 18 of 20 features" in refused.problem
    story.upload(edit_id, *TWENTY[:2], kind=UploadKind.WHOLE, deleting=18)
    assert set(story.live()) == {"0", "1"}


def test_a_file_with_a_mistake_leaves_the_job_with_its_worker(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    twice = renamed("0", name="once"), renamed("0", name="twice")
    query = harness.query_context(ANNA)

    refused = story.upload(edit_id, *twice)
    report = edit_details.upload_report(refused, query)

    assert (refused.state, refused.worker and refused.worker.name) == ("downloaded", "anna")
    assert refused.sent
    assert report
    assert (refused.sent.outcome, report.outcome) == ("refused", "refused")
    assert [(each.code, each.line > 0) for each in report.findings] == [("ID_REPEATED", True)]
    again = story.upload(edit_id, renamed("0", name="once"))
    report = edit_details.upload_report(again, query)
    assert (again.state, again.problem) == ("completed", "")
    assert report  # it stays after the end
    assert (report.outcome, report.changes) == ("accepted", 1)


def test_nothing_follows_an_upload_until_its_file_was_read(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    run_all = harness.machines.run_all
    harness.machines.run_all = list  # type: ignore[assignment]

    reading = story.upload(edit_id, renamed("0", name="a"))
    again = story.upload(edit_id, renamed("0", name="a"))
    with pytest.raises(InvalidTransition, match="is being read"):
        story.upload(edit_id, renamed("0", name="b"))

    assert (reading.state, reading.is_reading, again) == ("downloaded", True, reading)
    view = edit_queries.edit_job(edit_id, harness.query_context(ANNA))
    assert view.actions == ("download", "relinquish")
    listed = edit_queries.worklist(harness.query_context(ANNA))
    (tile,) = (item for column in listed for item in column.items)
    assert "upload" not in tile.actions
    assert next_step(story.edit(edit_id)).what == "The file that was uploaded is being read."
    harness.machines.executions.clear()  # its execution was lost
    harness.machines._waiting.clear()
    harness.advance(61)
    harness.tick()
    run_all()
    assert story.state(edit_id) == "completed"


def test_a_claim_that_ends_while_its_file_is_read_keeps_the_file(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    run_all = harness.machines.run_all
    harness.machines.run_all = list  # type: ignore[assignment]
    story.upload(edit_id, renamed("0", name="a"))

    allocations.revoke(edit_id, harness.context(PLANNER, reason="a mistake"))
    run_all()

    job = story.edit(edit_id)
    assert (job.state, job.sent, job.workspace) == ("proposed", None, None)
    kept = edit_details.rescued_uploads(edit_id, harness.query_context(PLANNER))
    assert [(each.attempt, each.filename) for each in kept] == [(1, "mine.geojson")]


def test_a_package_that_is_uploaded_as_it_is_changes_nothing(harness: Harness) -> None:
    """geogig#115."""
    story = EditStory(harness)
    edit_id = started(story)
    same = json.loads(story.package(edit_id).read("features.geojson"))["features"]
    features = [Feature(each["id"], each["geometry"], each["properties"]) for each in same]

    story.upload(edit_id, *features, kind=UploadKind.WHOLE)

    assert story.state(edit_id) == "completed"
    assert commits.find("counties", 2) is None
    assert harness.published == []


# Validation


def test_what_breaks_a_rule_is_repaired_in_a_validation_child(harness: Harness) -> None:
    story = EditStory(harness, rules=NO_OVERLAP)
    edit_id = started(story)
    story.upload(edit_id, square("0", 0, 0, 2.5, name="too wide"))

    child = story.child(edit_id)
    assert (story.state(edit_id), child.failure_type) == ("invalid", FailureType.VALIDATION)
    assert child.title == "Repair - VALIDATION 1"
    assert (child.worker and child.worker.name) == "anna"
    about = story.take(child.child_id)
    assert about["failure_type"] == "VALIDATION"
    assert story.packed(child.child_id)["0"]["name"] == "too wide"
    failures = json.loads(story.package(child.child_id).read("findings.json"))["failures"]
    assert {(each["feature_id"], *each["others"]) for each in failures} == {
        ("0", "1"),
        ("0", "5"),
        ("0", "6"),
    }
    story.upload(child.child_id, square("0", 0, 0, 2.2, name="still too wide"))
    again = story.child(edit_id)
    assert (story.state(edit_id), again.number) == ("invalid", 2)
    story.take(again.child_id)
    story.upload(again.child_id, square("0", 0, 0, 1.5, name="wide"))

    assert story.state(edit_id) == "completed"
    assert story.properties()["0"] == {"name": "wide"}
    assert [story.job(each).state for each in story.edit(edit_id).child_ids] == ["completed"] * 2


def test_edits_are_given_back_if_stored_rules_are_not_allowed_any_more(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    stored = datasets.get(story.dataset)
    slow = {"rule": "schema", "schema": {"pattern": "(?=a)"}}
    datasets.put_settings(replace(stored, rules=(slow,), version=stored.version + 1))

    story.upload(edit_id, renamed("0", name="new"))

    job = story.edit(edit_id)
    assert job.state == "downloaded"
    assert "the rules of the dataset have an error" in job.problem
    assert "no lookaround" in job.problem


def test_an_inherited_failure_does_not_fail_unless_a_setting_says_so(harness: Harness) -> None:
    overlapping = [*TWENTY, square("20", 0.5, 0.5)]
    story = EditStory(harness, overlapping, NO_OVERLAP)
    edit_id = started(story)
    story.upload(edit_id, renamed("0", name="new"))

    assert story.state(edit_id) == "completed"


@pytest.mark.parametrize("children", [MAX_CHILDREN - 1, MAX_CHILDREN])
def test_a_job_that_needs_one_child_too_many_goes_back_to_its_worker(
    children: int, harness: Harness
) -> None:
    story = EditStory(harness, rules=NO_OVERLAP)
    edit_id = started(story)
    job = story.edit(edit_id)
    had = {FailureType.VALIDATION: children - 5, FailureType.CONFLICT: 5}
    edits.write(job, replace(job, version=job.version + 1, children=had))

    story.upload(edit_id, square("0", 0, 0, 2.5))

    job = story.edit(edit_id)
    if children < MAX_CHILDREN:
        assert (job.state, sum(job.children.values())) == ("invalid", MAX_CHILDREN)
        return
    assert (job.state, job.open_child, job.children) == ("downloaded", "", had)
    assert "200 fix-ups and reviews" in job.problem
    story.upload(edit_id, renamed("0", name="a"))  # what needs none is committed
    assert story.state(edit_id) == "completed"


def test_two_clean_edits_that_break_a_rule_together_are_found_after_the_merge(
    harness: Harness,
) -> None:
    """geodiff#210: both insert the same unique value; the merge has no conflict."""
    story = EditStory(harness, rules=UNIQUE)
    mine, theirs = started(story), started(story, BEN)
    story.upload(theirs, square("t", 30, 30, code=7), person=BEN)

    story.upload(mine, square("m", 40, 40, code=7))

    assert (story.state(theirs), story.state(mine)) == ("completed", "invalid")
    report = json.loads(_read(harness, story.child(mine).findings))
    assert [(each["feature_id"], each["others"]) for each in report["failures"]] == [("m", ["t"])]


# Conflicts


def in_conflict(story: EditStory) -> str:
    """An edit job whose changes of 0, 1 and 2 conflict with what became live; 3 is merged."""
    mine, theirs = started(story), started(story, BEN)
    story.upload(theirs, renamed("0", name="b", x=2), renamed("3", x=2), person=BEN, deleted=["1"])
    assert story.state(theirs) == "completed"
    story.upload(
        mine,
        *(renamed(each, name="a") for each in ("0", "1", "3")),
        renamed("2", name="alone"),
    )
    return mine


def test_a_conflict_is_decided_in_a_child_with_the_three_versions(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = in_conflict(story)

    child = story.child(edit_id)
    assert (story.state(edit_id), child.failure_type) == ("conflicted", FailureType.CONFLICT)
    story.take(child.child_id)
    found = json.loads(story.package(child.child_id).read("findings.json"))["conflicts"]
    assert [(each["id"], each["kind"]) for each in found] == [
        ("0", "update_update"),
        ("1", "update_delete"),
    ]
    assert [found[0][each]["properties"]["name"] for each in ("base", "mine", "theirs")] == [
        "n0",
        "a",
        "b",
    ]
    open_one = story.upload(child.child_id, choices={"0": "mine"})
    assert "1: the conflict is not decided" in open_one.problem
    story.upload(child.child_id, choices={"0": "mine", "1": "mine"})

    assert story.state(edit_id) == "completed"
    live = story.properties()
    assert live["0"] == {"name": "a", "x": 2}
    assert live["1"] == {"name": "a", "x": 0}
    assert live["2"] == {"name": "alone", "x": 0}
    assert live["3"] == {"name": "a", "x": 2}


def test_what_both_inserted_under_one_id_is_kept_twice(harness: Harness) -> None:
    """kart#885, geodiff#62: mine get ids that neither the dataset nor I have used."""
    story = EditStory(harness, quarantine=True)
    mine, theirs = started(story), started(story, BEN, quarantine=False)
    new = [str(number) for number in range(101, 105)]
    story.upload(theirs, *(square(each, 50, 50, name="b") for each in new[:2]), person=BEN)
    inserted = [square(each, 60, 60, name="a") for each in [*new, "well"]]
    story.upload(mine, *inserted, renamed("0", name="a"))
    other = started(story, BEN, quarantine=False)
    story.upload(other, square("105", 70, 70, name="c"), square("well", 1, 1), person=BEN)
    review_id = story.child(mine).child_id
    story.take(review_id, RITA)
    story.decide(review_id, "approve")
    child = story.child(mine)
    story.take(child.child_id)
    found = json.loads(story.package(child.child_id).read("findings.json"))["conflicts"]
    assert {each["kind"] for each in found} == {"insert_insert"}
    assert found[0]["choices"] == ["mine", "theirs", "renumber"]

    wrong = {"101": "renumber", "102": "renumber", "well": "renumber"}
    done = story.upload(child.child_id, choices=wrong)

    report = edit_details.upload_report(done, harness.query_context(ANNA))
    assert report
    assert report.new_ids == {"101": "107", "102": "106", "well": "well-2"}
    assert story.state(mine) == "completed"  # the approval holds: no value was made by hand
    live = story.properties()
    assert [live[each]["name"] for each in ("101", "106", "107", "103", "105")] == [*"baaac"]
    assert (live["well-2"]["name"], "name" in live["well"]) == ("a", False)


def test_only_what_both_inserted_is_renumbered(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = in_conflict(story)
    child = story.child(edit_id)
    story.take(child.child_id)

    refused = story.upload(child.child_id, choices={"0": "renumber", "1": "mine"})

    assert "only what both inserted" in refused.problem


def test_theirs_may_win_and_the_rest_of_mine_is_kept(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = in_conflict(story)
    child = story.child(edit_id)
    story.take(child.child_id)

    story.upload(child.child_id, choices={"0": "theirs", "1": "theirs"})

    live = story.properties()
    assert story.state(edit_id) == "completed"
    assert (live["0"], "1" in live) == ({"name": "b", "x": 2}, False)
    assert live["2"] == {"name": "alone", "x": 0}


def test_what_becomes_live_while_a_conflict_is_decided_is_another_conflict(
    harness: Harness,
) -> None:
    story = EditStory(harness)
    edit_id = in_conflict(story)
    child = story.child(edit_id)
    story.take(child.child_id)
    later = started(story, BEN)
    story.upload(later, renamed("2", name="later"), person=BEN)

    story.upload(child.child_id, choices={"0": "mine", "1": "mine"})

    again = story.child(edit_id)
    assert (story.state(edit_id), again.number) == ("conflicted", 2)
    story.take(again.child_id)
    assert set(story.packed(again.child_id)) == {"2"}
    story.upload(again.child_id, choices={"2": "mine"})
    assert story.properties()["2"]["name"] == "alone"


def test_the_latest_value_of_a_declared_property_counts_and_both_are_recorded(
    harness: Harness,
) -> None:
    story = EditStory(harness, latest=["name"], quarantine=True)
    mine, theirs = started(story), started(story, BEN, quarantine=False)
    story.upload(theirs, renamed("0", name="b"), person=BEN)

    story.upload(mine, renamed("0", name="a"))

    review = story.child(mine)
    assert json.loads(_read(harness, review.findings))["resolutions"] == [
        {"id": "0", "property": "name", "mine": "a", "theirs": "b"}
    ]
    story.take(review.child_id, RITA)
    story.decide(review.child_id, "approve")
    assert story.properties()["0"]["name"] == "a"


# Quarantine


def quarantined(story: EditStory, *features: Feature) -> str:
    """An edit job whose changes wait for a review, which Rita has downloaded."""
    edit_id = started(story)
    story.upload(edit_id, *(features or [renamed("0", name="a")]))
    assert story.state(edit_id) == "quarantined"
    story.take(story.child(edit_id).child_id, RITA)
    return edit_id


def test_a_reviewer_approves_what_is_committed(harness: Harness) -> None:
    story = EditStory(harness, quarantine=True)
    edit_id = quarantined(story)
    review = story.child(edit_id)
    assert review.failure_type == FailureType.QUARANTINE_REVIEW
    assert set(story.packed(review.child_id, "changes.geojson")) == {"0"}

    story.decide(review.child_id, "approve")

    assert (story.state(edit_id), story.job(review.child_id).state) == ("completed", "approved")
    assert story.properties()["0"]["name"] == "a"


def test_corrections_have_the_edits_of_both_and_are_reviewed_again(harness: Harness) -> None:
    story = EditStory(harness, quarantine=True)
    edit_id = quarantined(story)
    review = story.child(edit_id)
    story.upload(review.child_id, renamed("1", name="by rita"), person=RITA)
    with pytest.raises(Forbidden):
        story.decide(review.child_id, "require_corrections", ANNA)
    story.decide(review.child_id, "require_corrections")
    child = story.child(edit_id)
    assert child.failure_type == FailureType.QUARANTINE_CORRECTIONS
    story.take(child.child_id)
    packed = story.packed(child.child_id)
    assert (packed["0"]["name"], packed["1"]["name"]) == ("a", "by rita")
    story.upload(child.child_id, renamed("2", name="corrected"))

    again = story.child(edit_id)
    assert (story.state(edit_id), again.failure_type, again.number) == (
        "quarantined",
        FailureType.QUARANTINE_REVIEW,
        2,
    )
    assert {each.name for each in story.edit(edit_id).authors} == {"anna", "rita"}
    with pytest.raises(Forbidden):
        story.take(again.child_id, RITA)  # she is an author now
    assert story.properties()["0"]["name"] == "n0"
    story.take(again.child_id, RALF)
    story.decide(again.child_id, "approve", RALF)
    live = story.properties()
    assert [live[each]["name"] for each in "012"] == ["a", "by rita", "corrected"]


def test_corrections_that_break_a_rule_are_given_back_at_once(harness: Harness) -> None:
    story = EditStory(harness, rules=NO_OVERLAP, quarantine=True)
    edit_id = quarantined(story)
    story.decide(story.child(edit_id).child_id, "require_corrections")
    child = story.child(edit_id)
    story.take(child.child_id)
    wide = square("1", 2, 0, 3, name="too wide")
    story.upload(child.child_id, wide)

    given_back = story.job(child.child_id)
    assert (story.state(edit_id), given_back.state) == ("quarantined", "downloaded")
    assert "3 failures: 1: it overlaps" in given_back.problem
    story.upload(child.child_id, renamed("1", name="right"))
    assert story.job(child.child_id).state == "completed"
    assert story.state(edit_id) == "quarantined"


def test_discarded_edits_are_kept_in_a_new_package(harness: Harness) -> None:
    story = EditStory(harness, quarantine=True)
    edit_id = quarantined(story)
    story.decide(story.child(edit_id).child_id, "discard")

    assert story.state(edit_id) == "prepared"
    story.download(edit_id)
    assert story.packed(edit_id)["0"]["name"] == "a"
    story.upload(edit_id, renamed("1", name="more"))
    review = story.child(edit_id)
    story.take(review.child_id, RITA)
    assert set(story.packed(review.child_id, "changes.geojson")) == {"0", "1"}
    story.decide(review.child_id, "approve")
    live = story.properties()
    assert (live["0"]["name"], live["1"]["name"]) == ("a", "more")


@pytest.mark.parametrize(("by_hand", "reviews"), [(False, 1), (True, 2)])
def test_an_approval_survives_a_conflict_unless_a_value_is_made_by_hand(
    harness: Harness, by_hand: bool, reviews: int
) -> None:
    story = EditStory(harness, quarantine=True)
    edit_id = quarantined(story)
    theirs = started(story, BEN, quarantine=False)
    story.upload(theirs, renamed("0", name="b"), person=BEN)
    story.decide(story.child(edit_id).child_id, "approve")
    child = story.child(edit_id)
    assert child.failure_type == FailureType.CONFLICT
    story.take(child.child_id)

    if by_hand:
        story.upload(child.child_id, renamed("0", name="c"))
    else:
        story.upload(child.child_id, choices={"0": "mine"})

    assert story.state(edit_id) == ("quarantined" if by_hand else "completed")
    assert story.edit(edit_id).children[FailureType.QUARANTINE_REVIEW] == reviews


def test_repairs_after_an_approval_are_reviewed_again(harness: Harness) -> None:
    story = EditStory(harness, rules=UNIQUE, quarantine=True)
    edit_id = quarantined(story, square("m", 40, 40, code=7))
    theirs = started(story, BEN, quarantine=False)
    story.upload(theirs, square("t", 30, 30, code=7), person=BEN)
    story.decide(story.child(edit_id).child_id, "approve")
    assert story.state(edit_id) == "invalid"
    child = story.child(edit_id)
    story.take(child.child_id)

    story.upload(child.child_id, square("m", 40, 40, code=8))

    assert story.state(edit_id) == "quarantined"
    assert story.edit(edit_id).children[FailureType.QUARANTINE_REVIEW] == 2


def test_a_planner_s_flag_overrides_the_setting_of_quarantine(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story, quarantine=True)

    story.upload(edit_id, renamed("0", name="a"))

    assert story.state(edit_id) == "quarantined"


# Embargo


def test_a_package_under_embargo_is_released_or_its_job_abandoned(harness: Harness) -> None:
    story = EditStory(harness, embargo=True)
    released, refused = story.propose(), story.propose()
    for edit_id in (released, refused):
        story.allocate(edit_id)
    for edit_id in (released, refused):
        claims.activate(edit_id, harness.context(ANNA))
        harness.machines.run_all()
        assert story.state(edit_id) == "embargoed"
        story.take(story.child(edit_id).child_id, RITA)
        assert len(story.packed(story.child(edit_id).child_id)) == 20
    story.decide(story.child(released).child_id, "approve")
    story.decide(story.child(refused).child_id, "discard")

    assert (story.state(released), story.state(refused)) == ("prepared", "abandoned")
    story.download(released)
    story.upload(released, renamed("0", name="a"))
    assert story.state(released) == "completed"


# Mails


def test_the_machine_s_moves_are_mailed_to_those_who_act_next(harness: Harness) -> None:
    story = EditStory(harness, rules=NO_OVERLAP, quarantine=True)
    edit_id = started(story)
    story.upload(edit_id, square("0", 0, 0, 2.5))
    child = story.child(edit_id)
    story.take(child.child_id)
    story.upload(child.child_id, renamed("0", name="a"))

    harness.tick()

    mails = {each.subject.split(": ")[1]: set(each.to) for each in harness.mails()}
    assert mails["Your edits break rules (Repair - VALIDATION 1)"] == {"anna@example.org"}
    assert mails["Edits are to be reviewed (Repair - QUARANTINE_REVIEW 1)"] == {
        "ralf@example.org",
        "rita@example.org",
    }


# Failures


def fail_once(harness: Harness, name: str) -> None:
    """Have a function of the edit machine fail for good the next time it is called for its task."""
    invoke = harness.machines.invoke

    def failing(
        called: str, function: Callable[[dict[str, Any]], Any], event: dict[str, Any]
    ) -> Any:
        if called == name and "execution" not in event:
            raise RuntimeError("out of memory")
        return invoke(called, function, event)

    harness.machines.invoke = failing


def test_a_job_whose_package_fails_is_allocated_again_with_the_reason(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = story.propose()
    story.allocate(edit_id)
    fail_once(harness, "PrepareFunction")

    with pytest.raises(Exception, match="out of memory"):
        story.take(edit_id)

    job = story.edit(edit_id)
    assert (job.state, job.worker, job.attempt) == ("allocated", None, 2)
    assert "failed to prepare" in job.problem


def test_a_check_that_fails_gives_the_edits_back(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    working = harness.machines.invoke
    fail_once(harness, "CheckFunction")
    with pytest.raises(Exception, match="out of memory"):
        story.upload(edit_id, renamed("0", name="a"))
    assert story.state(edit_id) == "downloaded"
    assert "failed to check" in story.edit(edit_id).problem

    harness.machines.invoke = working
    story.upload(edit_id, renamed("0", name="a"))  # the same file

    assert story.state(edit_id) == "completed"
    assert story.properties()["0"]["name"] == "a"


def test_an_extent_with_too_many_features_is_refused_with_the_reason(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.services.edits.prepare.MAX_CHANGES", 19)
    story = EditStory(harness)
    edit_id = story.propose()
    story.allocate(edit_id)

    with pytest.raises(Exception, match="allocated"):
        story.take(edit_id)

    assert "more than 19 features" in story.edit(edit_id).problem


def test_a_commit_that_cannot_be_published_stays_and_is_published_later(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = started(story)
    harness.refuses_events = True
    with pytest.raises(Exception, match="too many"):
        story.upload(edit_id, renamed("0", name="a"))
    assert story.state(edit_id) == "committed"
    # The execution was started to read the file.
    assert f"failed to publish: see execution {edit_id}-read-1-6" in story.edit(edit_id).problem
    assert story.properties()["0"]["name"] == "a"

    harness.refuses_events = False
    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    assert story.state(edit_id) == "completed"
    assert [each["revision"] for each in harness.published] == [2]


def test_a_lost_race_is_checked_again(harness: Harness) -> None:
    story = EditStory(harness)
    mine, theirs = started(story), started(story, BEN)
    invoke = harness.machines.invoke
    raced: list[str] = []

    def racing(name: str, function: Callable[[dict[str, Any]], Any], event: dict[str, Any]) -> Any:
        if name == "CommitFunction" and event["task"] == "commit" and not raced:
            raced.append(event["job_id"])
            story.upload(theirs, renamed("1", name="b"), person=BEN)
        return invoke(name, function, event)

    harness.machines.invoke = racing
    story.upload(mine, renamed("0", name="a"))

    assert raced == [mine]
    assert (story.state(mine), story.state(theirs)) == ("completed", "completed")
    assert (story.edit(theirs).revision, story.edit(mine).revision) == (2, 3)
    live = story.properties()
    assert (live["0"]["name"], live["1"]["name"]) == ("a", "b")


def test_changes_whose_settings_changed_after_their_check_are_checked_again(
    harness: Harness,
) -> None:
    story = EditStory(harness, latest=["name"])
    mine, theirs = started(story), started(story, BEN)
    story.upload(theirs, renamed("0", name="b"), person=BEN)
    invoke = harness.machines.invoke

    def changing(
        name: str, function: Callable[[dict[str, Any]], Any], event: dict[str, Any]
    ) -> Any:
        if name == "CommitFunction" and event["task"] == "commit":
            put_settings("counties", "border", {}, harness.context(ADMIN))
        return invoke(name, function, event)

    harness.machines.invoke = changing
    story.upload(mine, renamed("0", name="a"))

    assert (story.state(mine), story.child(mine).failure_type) == (
        "conflicted",
        FailureType.CONFLICT,
    )
    assert story.properties()["0"]["name"] == "b"


# Batch mode


def rename_all(request: dict[str, Any]) -> dict[str, Any]:
    """What a function of batch mode answers: changes."""
    assert request["package_url"].startswith("http")
    features = [renamed(each, name=f"batch of {request['dataset']}").document() for each in "01"]
    return {"type": "FeatureCollection", "features": features}


def test_a_function_edits_in_batch_mode(harness: Harness) -> None:
    harness.batch_functions["renamer"] = rename_all
    story = EditStory(harness, batch="renamer")
    edit_id = story.propose()

    story.allocate(edit_id)

    job = story.edit(edit_id)
    assert (job.state, job.problem, job.worker) == ("completed", "", None)
    assert story.properties()["1"]["name"] == "batch of counties"


def test_a_url_edits_in_batch_mode(harness: Harness) -> None:
    answer = {"type": "FeatureCollection", "features": [], "deleted": ["4"]}
    harness.payloads.files["/edit"] = json.dumps(answer).encode()
    story = EditStory(harness, batch=f"{harness.payloads.url}/edit")
    edit_id = story.propose()

    story.allocate(edit_id)

    assert story.state(edit_id) == "completed"
    assert harness.payloads.posted[0]["edit_id"] == edit_id
    assert "4" not in story.live()


def _refuses(_: dict[str, Any]) -> Any:
    raise ValueError("no licence")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (_refuses, "no licence"),
        (lambda _: {"type": "FeatureCollection"}, 'has a member "features"'),
        (
            lambda _: {
                "type": "FeatureCollection",
                "features": [square("0", 0, 0, 3).document()],
            },
            "VALIDATION: 3 failures",
        ),
    ],
)
def test_any_error_in_batch_mode_fails_the_job_with_a_process_log(
    harness: Harness, function: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    harness.batch_functions["renamer"] = function
    story = EditStory(harness, rules=NO_OVERLAP, batch="renamer")
    edit_id = story.propose()

    story.allocate(edit_id)

    job = story.edit(edit_id)
    assert job.state == "failed"
    assert problem in job.problem
    log = json.loads(_read(harness, log_key(edit_id, job.attempt)))
    assert problem in log["problem"]
    assert [each["event"] for each in log["history"]][:2] == ["propose", "allocate"]
    shown = edit_queries.process_log(edit_id, harness.query_context(ADMIN))
    broken = [each.code for each in shown.report.failures] if shown.report else []
    assert broken == ["OVERLAP"] * 3 * problem.startswith("VALIDATION")
    allocations.archive(edit_id, harness.context(PLANNER))
    assert edit_queries.process_log(edit_id, harness.query_context(ADMIN)).report == shown.report


def _read(harness: Harness, key: str) -> bytes:
    content: bytes = harness.s3.get_object(Bucket="work", Key=key)["Body"].read()
    return content


def test_all_lost_work_has_its_turn_in_some_minute(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.services.edits.recovery.MAX_RECOVERED", 2)
    story = EditStory(harness)
    edit_ids = [story.propose() for _ in range(5)]
    for edit_id in edit_ids:
        story.allocate(edit_id)
        claims.activate(edit_id, harness.context(ANNA))
    harness.machines._waiting.clear()
    harness.machines.executions.clear()

    for _ in range(5):
        harness.advance(61)
        harness.tick()
    harness.machines.run_all()

    assert {story.state(each) for each in edit_ids} == {"prepared"}


def test_the_hourly_reconcile_recovers_edit_jobs_page_by_page(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.services.edits.recovery.MAX_RECOVERED", 2)
    story = EditStory(harness)
    edit_ids = [story.propose() for _ in range(5)]
    for edit_id in edit_ids:
        story.allocate(edit_id)
    for number, edit_id in enumerate(edit_ids):
        claims.activate(edit_id, harness.context(ANNA))
        harness.advance(number % 2)  # some wait as long as others
    harness.machines._waiting.clear()
    harness.machines.executions.clear()
    harness.advance(121)
    executions = Executions(harness.settings, harness.machines)  # type: ignore[arg-type]
    checked, cursor = [], {"in": "edits"}
    while cursor:
        page = recover_slice(cursor, executions, harness.now())
        checked.append(page.checked)
        cursor = dict(page.cursor)
    harness.machines.run_all()

    assert {story.state(each) for each in edit_ids} == {"prepared"}
    assert checked == [2, 2, 1]


def test_what_died_or_was_not_started_is_done_in_the_next_minute(harness: Harness) -> None:
    story = EditStory(harness)
    edit_id = story.propose()
    story.allocate(edit_id)
    claims.activate(edit_id, harness.context(ANNA))
    harness.machines._waiting.clear()  # its execution was lost
    harness.machines.executions.clear()
    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    assert story.state(edit_id) == "prepared"
    assert edits.find(edit_id) is not None
