"""An edit job that a planner archived long ago goes to the archive with its children and mails."""

import json
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.archive import Inventory, Phase
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.errors import Gone, NotFound
from jobyard.services.edits import allocations
from jobyard.services.queries import edits as queries
from jobyard.store import edits, reports, usage
from tests.archived_fixtures import reset_retention
from tests.edit_stories import ADMIN, ANNA, PLANNER, EditStory
from tests.harness import Harness
from tests.scenarios.test_edits import UNIQUE, renamed, started
from tests.services.retention.test_archive import done, objects, retain
from tests.services.retention.test_campaign_archive import retain_dying

pytestmark = pytest.mark.emulator
OLD = timedelta(days=91)


@pytest.fixture
def stack(harness: Harness) -> Harness:
    reset_retention(harness)
    return harness


def archived_job(stack: Harness) -> EditJob:
    """A completed edit job with a fix-up, an attachment and sent mails; a planner archived it."""
    story = EditStory(stack, rules=UNIQUE)
    edit_id = started(story)
    story.upload(edit_id, renamed("0", code="a"), renamed("1", code="a"))
    fixup_id = story.edit(edit_id).open_child
    story.take(fixup_id)
    story.upload(fixup_id, renamed("1", code="b"))
    assert story.state(edit_id) == "completed"
    key = f"edits/{edit_id}/attachments/1/plan.pdf"
    stack.s3.put_object(Bucket="work", Key=key, Body=b"a plan")
    allocations.archive(edit_id, stack.context(PLANNER))
    stack.tick()
    for each in (edit_id, fixup_id):
        stack.deliver_mail_after_15_minutes(each)
    return edits.get(edit_id)


def left_of(stack: Harness, job: EditJob) -> list[Any]:
    """What the tables and the work bucket have of an edit job besides its tombstone."""
    ids = (job.edit_id, *job.all_child_ids)
    found: list[Any] = [*edits.read(ids), *usage.parts_of(job.edit_id)]
    for each in ids:
        found += reports.of_batch(each)
        for kind in ("edits", "reports"):
            prefix = f"{kind}/{each}/"
            page = stack.s3.list_object_versions(Bucket="work", Prefix=prefix)
            found += [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return found


def listed(stack: Harness, which: str) -> list[str]:
    wanted = queries.EditFilter(which)
    page = queries.list_edits(stack.query_context(ADMIN), wanted, after="", limit=99)
    return [each.job.edit_id for each in page.items if isinstance(each.job, EditJob)]


def test_an_edit_job_is_archived_whole_and_a_tombstone_says_where(stack: Harness) -> None:
    job = archived_job(stack)
    (fixup_id,) = job.all_child_ids
    stack.at += OLD - timedelta(days=2)
    assert retain(stack) == done(0)
    assert listed(stack, "archived") == [job.edit_id]
    stack.at += timedelta(days=2)

    assert retain(stack) == done(1)

    assert left_of(stack, job) == []
    assert listed(stack, "archived") == []
    tombstone = edits.tombstone(job.edit_id)
    assert tombstone is not None
    assert (tombstone.phase, tombstone.origin.history) == (Phase.REMOVED, ())
    assert (tombstone.origin.authors, tombstone.origin.sent) == ((), None)
    with pytest.raises(Gone, match=r"of dataset counties, .* was archived on .*manifest.json"):
        queries.edit_job(job.edit_id, stack.query_context(ADMIN))
    for hidden, who in ((job.edit_id, ANNA), (fixup_id, ADMIN)):
        with pytest.raises(NotFound, match="there is no edit job"):
            queries.edit_job(hidden, stack.query_context(who))
    stored = objects(stack, "archive", f"{tombstone.folder}/")
    inventory = Inventory.of(stored["manifest.json"])
    assert inventory.counts == {"edit": 1, "child": 1, "report": 2, "usage": 3}
    lines = [json.loads(each) for each in stored["edit.jsonl.gz"].splitlines()]
    assert [each["event"] for each in lines[0]["edit"]["history"]][-1] == "archive"
    assert lines[0]["edit"]["extent"] == {"box": [-180, -90, 180, 90]}
    assert (lines[1]["child"]["child_id"], lines[1]["child"]["state"]) == (fixup_id, "completed")
    assert stored["files/edits/attachments/1/plan.pdf.gz"] == b"a plan"
    assert any(each.startswith("files/reports/") for each in stored)
    assert not any(each.startswith("late") for each in stored)
    assert retain(stack) == done(0)


def test_an_edit_job_whose_mail_is_not_sent_stays(stack: Harness) -> None:
    story = EditStory(stack)
    edit_id = started(story)
    allocations.abandon(edit_id, stack.context(PLANNER, reason="no"))
    allocations.archive(edit_id, stack.context(PLANNER))
    stack.at += OLD

    assert retain(stack) == done(0)
    assert edits.get(edit_id).state == "archived"


def test_a_retention_that_dies_before_each_write_archives_an_edit_job_once(stack: Harness) -> None:
    job = archived_job(stack)
    stack.at += OLD

    outcome, deaths = retain_dying(stack, "dying-retention-of-edits.0.1")

    assert outcome == done(1)
    assert deaths > 8
    assert left_of(stack, job) == []
