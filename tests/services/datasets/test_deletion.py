"""A deleted dataset: who may delete it, what others see then, and how its files are removed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.datasets.load import LoadState
from jobyard.domain.edits.edit_job import EditState
from jobyard.domain.errors import Forbidden, Gone, InvalidTransition
from jobyard.services.context import Actor, CommandContext
from jobyard.services.datasets import files, removal
from jobyard.services.datasets.commands import NewDataset, delete, start_load
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.load import load
from jobyard.services.edits.allocations import retry
from jobyard.services.edits.proposals import Proposal, propose
from jobyard.services.maintenance import Maintenance
from jobyard.store import checkpoints, commits, datasets, edits, versions
from tests.domain.edits.edit_jobs import EXTENT
from tests.harness import Harness
from tests.services.datasets.datasets import by_id, changes_to, make_dataset, origin, point
from tests.services.datasets.test_commands import Machines, command, uploaded
from tests.services.edits.edit_records import a_stored_job, a_team

pytestmark = pytest.mark.emulator


def swept(harness: Harness, later: timedelta) -> int:
    """Run the system job `pack` after some time. Returns how many slices it took."""
    maintenance = Maintenance(
        harness.settings,
        harness.s3,
        None,
        lambda: harness.now() + later,  # type: ignore[arg-type]
    )
    checkpoint = checkpoints.get(f"pack-{harness.now().timestamp()}-{later}")
    slices = 0
    while not checkpoint.ended:
        checkpoint = maintenance.pack(checkpoint)
        slices += 1
    return slices


def as_planner(harness: Harness, key: str = "k") -> CommandContext:
    who = Actor("id-pat", "pat", frozenset({"planner"}))
    return CommandContext(
        harness.settings, harness.s3, Machines(), harness.now, who, key, "because"
    )


def test_a_dataset_is_deleted_once_no_edit_job_is_open(
    harness: Harness, context: DatasetContext
) -> None:
    make_dataset("closing", [point("1", 0)], context)
    a_team("north")
    job = a_stored_job("allocated", dataset="closing")

    with pytest.raises(Forbidden):
        delete("closing", as_planner(harness))
    with pytest.raises(InvalidTransition, match=f"are open: {job.edit_id}; complete, abandon"):
        delete("closing", command(harness, Machines()))
    ended = a_stored_job("abandoned", dataset="closing", actual_end=harness.now())
    edits.write(job, replace(job, state=EditState.ABANDONED, version=2))
    gone = delete("closing", command(harness, Machines()))

    assert delete("closing", command(harness, Machines())) == gone
    assert datasets.find("closing") is None
    assert "closing" not in [each.name for each in datasets.by_name(after="", limit=99)]
    said = "dataset closing was deleted by anna on .*: because"
    with pytest.raises(Gone, match=said):
        delete("closing", command(harness, Machines(), "again"))
    with pytest.raises(Gone, match=said):
        propose(Proposal("closing", EXTENT, "x", ""), as_planner(harness))
    with pytest.raises(Gone, match=said):
        retry(ended.edit_id, as_planner(harness))
    with pytest.raises(InvalidTransition, match="under another name"):
        start_load(NewDataset("closing", uploaded(harness)), command(harness, Machines()))


def test_a_proposal_that_meets_a_deletion_is_refused(
    harness: Harness, context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = make_dataset("raced", [point("1", 0)], context)
    delete("raced", command(harness, Machines()))
    reads = iter([seen])
    stored = datasets.get
    monkeypatch.setattr(datasets, "get", lambda name: next(reads, None) or stored(name))

    with pytest.raises(Gone):
        propose(Proposal("raced", EXTENT, "x", ""), as_planner(harness))
    assert edits.of_dataset("raced", edits.OPEN, after="", limit=1) == []


def test_pack_removes_what_a_deleted_dataset_leaves_behind(
    harness: Harness, context: DatasetContext
) -> None:
    now = by_id(point(str(n), n) for n in range(4))
    make_dataset("swept", now.values(), context)
    for number in range(2):
        changed = {each: point(each, 9 + number, n=number) for each in now}
        commit("swept", number + 1, changes_to(now, changed), origin(number), context)
        now = changed
    make_dataset("kept", now.values(), context)
    delete("swept", command(harness, Machines()))

    swept(harness, timedelta(hours=23))
    assert commits.oldest("swept")
    swept(harness, timedelta(hours=25))

    assert commits.oldest("swept") is None
    assert not any(versions.of_feature("swept", each, until=9, limit=9) for each in now)
    assert [*files.stored_under("datasets/swept/", context)] == []
    assert [*files.stored_under("datasets/kept/", context)]
    assert datasets.find_any("swept")  # a tombstone: commits were made
    assert datasets.deleted(after="", limit=9) == []


def test_removal_may_stop_anywhere_and_waits_for_open_edit_jobs(
    harness: Harness, context: DatasetContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_FILES_TOGETHER", 1)
    machines = Machines()
    asked = start_load(NewDataset("free", uploaded(harness)), command(harness, machines, "free"))
    machines.run(context)
    delete("free", command(harness, machines))
    later = timedelta(days=2)
    busy = a_stored_job("proposed", dataset="free")
    found = datasets.find_any("free")
    assert found
    assert not removal.is_due(found, harness.now() + later)
    edits.write(busy, replace(busy, state=EditState.DELETED, version=2))

    assert removal.is_due(found, harness.now() + later)
    while not removal.remove_next(found, context):
        pass

    assert datasets.find_any("free") is None
    again = start_load(NewDataset("free", uploaded(harness)), command(harness, machines, "again"))
    assert again.load_id != asked.load_id
    assert load(again.document(), context) == {"state": LoadState.LOADED.value}
