"""A pack changes how a dataset is stored, and nothing of what readers see."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.datasets.base_format import BaseIndex
from jobyard.domain.datasets.commit import Commit
from jobyard.domain.datasets.dataset import HeadMoved
from jobyard.domain.jobs.job_type import Continue, Done, Snooze, StepInput
from jobyard.jobtypes.pack import PACK
from jobyard.services.datasets import files
from jobyard.services.datasets.commit import commit, roll_forward
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.pack import (
    MAX_COMMITS,
    MIN_CHANGES,
    is_due,
    pack,
    remove_lost,
    remove_unused,
)
from jobyard.services.datasets.readers import all_features, head
from jobyard.store import commits
from tests.harness import Harness
from tests.services.datasets.crashes import Died, DyingAt
from tests.services.datasets.datasets import (
    Features,
    by_id,
    changes_to,
    check_reads,
    history_of,
    make_dataset,
    origin,
    point,
)

pytestmark = pytest.mark.emulator


def keys_of(name: str, context: DatasetContext) -> set[str]:
    """The base files of a dataset, used or not."""
    return {each.key for each in files.stored_under(files.base_prefix(name), context)}


def real_now() -> datetime:
    """The time by which the emulator notes when files were written."""
    return datetime.now(UTC)


def index_of(name: str, context: DatasetContext) -> BaseIndex:
    return BaseIndex.from_bytes(files.read(files.index_key(head(name).base), context))


@pytest.mark.usefixtures("small_parts")
def test_readers_see_each_revision_as_before_a_pack(context: DatasetContext, turn: int) -> None:
    revisions = history_of("packed", context, turn)

    after = pack(head("packed"), context)

    assert after == head("packed")
    assert (after.base_revision, after.revision) == (6, 6)
    assert index_of("packed", context).feature_count == len(revisions[-1])
    check_reads("packed", revisions, context)


@pytest.mark.usefixtures("small_parts")
def test_a_dataset_is_packed_and_changed_again_and_again(
    harness: Harness, context: DatasetContext, turn: int
) -> None:
    revisions = history_of("again", context, turn)
    for number in range(3):
        harness.at += timedelta(hours=1)
        pack(head("again"), context)
        now = dict(revisions[-1])
        del now[min(now)]
        now |= by_id([point(f"new-{number}", 10 * number)])
        commit("again", 6 + number, changes_to(revisions[-1], now), origin(number), context)
        revisions.append(now)

    check_reads("again", revisions, context)


@pytest.mark.usefixtures("small_parts")
def test_a_pack_writes_only_segments_with_changes(context: DatasetContext) -> None:
    before = by_id(point(f"{n:02}", 3 * n) for n in range(30))
    make_dataset("few", before.values(), context)
    old = {each.file for each in index_of("few", context).segments}
    after = before | by_id([point("00", 0, name="x"), point("01b", 3.1)])
    commit("few", 1, changes_to(before, after), origin(), context)

    pack(head("few"), context)

    new = {each.file for each in index_of("few", context).segments}
    assert (len(old), len(old & new), len(new - old)) == (5, 4, 2)  # 7 of 6 features: one is split


@pytest.mark.parametrize("features", [{}, {"1": point("1", 5)}])
def test_a_dataset_may_be_packed_when_it_is_or_was_empty(
    context: DatasetContext, features: Features
) -> None:
    name = f"empty-{len(features)}"
    later = {"2": point("2", 7)} if not features else {}
    make_dataset(name, features.values(), context)
    commit(name, 1, changes_to(features, later), origin(), context)

    pack(head(name), context)

    check_reads(name, [features, later], context)
    assert pack(head(name), context).base_revision == 2


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_pack_whose_worker_dies_has_done_nothing_or_all(
    harness: Harness, context: DatasetContext, is_sent: bool
) -> None:
    before = by_id(point(str(n), n) for n in range(5))
    after = {each: before[each] for each in "0123"}
    for number in range(99):
        name = f"dies-{number}"
        make_dataset(name, before.values(), context)
        commit(name, 1, changes_to(before, after), origin(), context)
        dying = DyingAt(number, is_sent=is_sent)
        with harness.interceptor.listening(dying), suppress(Died):
            pack(head(name), context)
        assert by_id(all_features(head(name), 2, context)) == after

        pack(head(name), context)

        assert by_id(all_features(head(name), 2, context)) == after
        assert head(name).base_revision == 2
        if len(dying.calls) <= number:
            break
    assert dying.calls[-4:] == ["PutObject", "PutObject", "Query", "PutItem"]


def test_a_pack_and_a_commit_at_once_lose_nothing(
    harness: Harness, context: DatasetContext
) -> None:
    before = by_id([point("1", 1), point("2", 2)])
    after = {"1": before["1"]}
    make_dataset("both", before.values(), context)
    commit("both", 1, changes_to(before, after), origin(1), context)
    seen = head("both")
    decided = 3
    with harness.interceptor.listening(DyingAt(decided, is_sent=False)), suppress(Died):
        commit("both", 2, changes_to(after, before), origin(2), context)
    assert head("both").pending is not None

    pack(seen, context)
    assert commit("both", 2, changes_to(after, before), origin(2), context) == 3

    assert (head("both").base_revision, head("both").revision) == (2, 3)
    check_reads("both", [before, after, before], context)


def test_base_files_that_no_head_names_are_removed_a_day_later(context: DatasetContext) -> None:
    before = by_id([point("1", 1), point("2", 2)])
    make_dataset("unused", before.values(), context)
    commit("unused", 1, changes_to(before, {}), origin(), context)
    old = keys_of("unused", context)
    pack(head("unused"), context)
    dataset = head("unused")

    assert remove_unused(dataset, replace(context, now=real_now)) == 0
    later = replace(context, now=lambda: real_now() + timedelta(days=2))
    assert remove_unused(dataset, later) == len(old)

    assert keys_of("unused", context).isdisjoint(old)
    check_reads("unused", [before, {}], context)


@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_change_files_of_lost_commits_are_removed_and_no_others(
    is_sent: bool, harness: Harness, context: DatasetContext
) -> None:
    before, name = by_id([point("1", 1), point("2", 2)]), f"lost-{is_sent}"
    make_dataset(name, before.values(), context)
    for number in range(1, 8):  # the worker of each dies at the next call, and another one commits
        harness.at += timedelta(seconds=1)
        dying = DyingAt(number, is_sent=is_sent)
        with harness.interceptor.listening(dying), suppress(Died):
            commit(name, head(name).revision, changes_to(before, {}), origin(number), context)
        with suppress(HeadMoved):
            commit(name, head(name).revision, changes_to(before, {}), origin(99), context)
    dataset = roll_forward(name, context)
    harness.at += timedelta(seconds=1)
    awaited = files.change_key(name, dataset.revision + 1, origin(5), harness.at)
    files.write(awaited, [b"of a commit that may still be decided"], context)

    removed = remove_lost(dataset, context)

    kept = {each.key for each in files.stored_under(f"datasets/{name}/changes/", context)}
    made = {each.file for each in commits.between(name, 2, dataset.revision)}
    assert removed > 0
    assert kept == {*made, awaited}
    assert remove_lost(dataset, context) == 0


@pytest.mark.parametrize(
    ("features", "number", "changes", "due"),
    [
        (10, 1, MIN_CHANGES, False),
        (10, 1, MIN_CHANGES + 1, True),
        (100_000, 2, 2_500, False),
        (100_000, 3, 1_667, True),
        (100_000, MAX_COMMITS + 1, 0, True),
        (100_000, 0, 0, False),
    ],
)
def test_a_dataset_is_due_after_many_changes_or_commits(
    context: DatasetContext, features: int, number: int, changes: int, due: bool
) -> None:
    name = f"due-{features}-{number}-{changes}"
    dataset = replace(make_dataset(name, [], context), revision=number + 1, features=features)
    for revision in range(2, min(number, 9) + 2):
        made = Commit(revision, context.now(), origin(), "file", 1, changes, 0, 0, features)
        commits.put(name, made)

    assert is_due(dataset) is due


def test_the_job_packs_what_is_due_keeps_its_place_and_finishes_commits(
    harness: Harness, context: DatasetContext
) -> None:
    many = by_id(point(str(n), n / 10) for n in range(300))
    for name in ("job-a", "job-b", "job-c"):
        make_dataset(name, many.values(), context)
    commit("job-a", 1, changes_to(many, {}), origin(), context)
    commit("job-c", 1, changes_to(many, {}), origin(), context)
    decided = 3
    with harness.interceptor.listening(DyingAt(decided, is_sent=False)), suppress(Died):
        commit("job-b", 1, changes_to(many, {"0": many["0"]}), origin(), context)
    seconds = iter([600.0, 600.0, 0.0])
    step_context = replace(
        harness.system_worker().step_context(PACK), remaining=lambda: next(seconds, 600.0)
    )
    ((_, step),) = PACK.steps
    step_input = StepInput("", "pack-1.0.1", "", {}, {}, {}, attempt=1)

    first = step(step_input, step_context)
    outcome = first
    while isinstance(outcome, Snooze | Continue):
        outcome = step(step_input, step_context)

    assert isinstance(first, Continue)
    records = {"processed": 3, "failed": 0, "total": 3}
    assert outcome == Done({"records": records}, "packed datasets: 3")
    for name in ("job-a", "job-b", "job-c"):
        assert (head(name).base_revision, head(name).pending) == (2, None)
