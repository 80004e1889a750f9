"""Commits changes to a dataset: all or nothing, under any crash.

A commit has four steps: write the change file; decide, which is one conditional write of the head;
store the versions and the commit; move the head. Once decided it is never undone: the next one who
meets it finishes it. Readers see what the head says, so they see all of it or nothing.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from jobyard.domain.datasets.change_file import ChangeLine, change_lines, read_change_file
from jobyard.domain.datasets.changes import ChangeKind, FeatureChange
from jobyard.domain.datasets.commit import Commit, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset, HeadMoved, PendingCommit
from jobyard.domain.datasets.extent import Boxes, boxes_around
from jobyard.domain.errors import StaleState
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import commits, datasets, versions
from jobyard.store.versions import FeatureVersion

_TRIES = 5  # a head changes at most once between two commits, when the dataset is packed


def commit(
    name: str,
    expected_revision: int,
    changes: Iterable[FeatureChange],
    origin: CommitOrigin,
    context: DatasetContext,
) -> int:
    """Commit changes to the dataset `name` if its head is `expected_revision`. Returns the revision
    that they made. A repeat for the same attempt at an edit job succeeds, and changes nothing.

    Without changes nothing is written, and the revision stays.

    Raises:
        HeadMoved: the head is another one, or another commit was decided first, which is finished.
        BadRequest: there are too many changes, or two of one feature.
        NotFound: there is no such dataset.
    """
    revision = expected_revision + 1
    file = ""
    for _ in range(_TRIES):
        dataset = datasets.get(name)
        if dataset.pending:
            is_mine = dataset.is_pending(origin)
            dataset = roll_forward(name, context)
            if is_mine and dataset.revision >= revision:
                return revision
        if dataset.revision != expected_revision:
            return _committed_before(dataset, revision, origin)
        if not file:
            found = iter(changes)
            first = next(found, None)
            if first is None:
                return expected_revision
            file = _write(dataset, chain([first], found), origin, context)
        pending = PendingCommit(revision, file, origin.edit_id, origin.attempt, context.now())
        datasets.put_head(
            dataset.awaiting(pending)
        )  # refused: the next round reads which was first
    raise StaleState(f"the head of {name} changes all the time: try again")


def _write(
    dataset: Dataset,
    changes: Iterable[FeatureChange],
    origin: CommitOrigin,
    context: DatasetContext,
) -> str:
    """Write the change file of the commit after the head; returns its key."""
    revision = dataset.revision + 1
    file = files.change_key(dataset.name, revision, origin, context.now())
    files.write(file, change_lines(dataset.name, revision, origin, changes), context)
    return file


def _committed_before(dataset: Dataset, revision: int, origin: CommitOrigin) -> int:
    """The revision, if a commit of `origin` made it.

    Raises:
        HeadMoved: another commit made it.
    """
    found = commits.find(dataset.name, revision)
    if found is None or not found.is_of(origin.edit_id, origin.attempt):
        raise _head_moved(dataset)
    return revision


def _head_moved(dataset: Dataset) -> HeadMoved:
    return HeadMoved(f"{dataset.name} has the revision {dataset.revision} by now: merge with it")


def roll_forward(name: str, context: DatasetContext) -> Dataset:
    """Finish the commit that is decided, if there is one. Returns the dataset after it.

    Anybody may call it, several at once too: all write the same.

    Raises:
        NotFound: there is no such dataset.
    """
    for _ in range(_TRIES):
        dataset = datasets.get(name)
        if dataset.pending is None:
            return dataset
        made = _store(dataset, dataset.pending, context)
        datasets.put_head(dataset.after(made))  # refused: another one has done it
    raise StaleState(f"the head of {name} changes all the time: try again")


def _store(dataset: Dataset, pending: PendingCommit, context: DatasetContext) -> Commit:
    """Store the versions and the commit of a decided commit."""
    origin, lines = read_change_file(files.blocks_of(pending.file, context))
    counts = _Counts()
    versions.put_all(
        dataset.name,
        (
            FeatureVersion(
                each.feature_id, pending.revision, each.kind, pending.file, each.start, each.end
            )
            for each in counts.counted(lines)
        ),
    )
    made = Commit(
        pending.revision,
        pending.at,
        origin,
        pending.file,
        counts.size,
        counts.of(ChangeKind.INSERT),
        counts.of(ChangeKind.UPDATE),
        counts.of(ChangeKind.DELETE),
        dataset.features + counts.of(ChangeKind.INSERT) - counts.of(ChangeKind.DELETE),
        counts.boxes,
    )
    commits.put(dataset.name, made)
    return made


class _Counts:
    """Counts changes while they pass."""

    def __init__(self) -> None:
        self.boxes: Boxes = ()
        self.size = 0
        self._kinds = dict.fromkeys(ChangeKind, 0)

    def counted(self, lines: Iterable[ChangeLine]) -> Iterator[ChangeLine]:
        """The lines, counted."""
        for line in lines:
            self._kinds[line.kind] += 1
            self.boxes = boxes_around((*self.boxes, *line.boxes))
            self.size = line.end
            yield line

    def of(self, kind: ChangeKind) -> int:
        """The number of changes of a kind."""
        return self._kinds[kind]


def committed_revision(
    name: str, edit_id: str, attempt: int, *, since: int, context: DatasetContext
) -> int | None:
    """The revision that an attempt at an edit job made after `since`; None if it made none.

    A commit of it that is decided is finished first.
    """
    dataset = roll_forward(name, context)
    for made in commits.between(name, since + 1, dataset.revision):
        if made.is_of(edit_id, attempt):
            return made.revision
    return None
