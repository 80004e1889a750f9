"""Removes what a deleted dataset leaves behind: commits, versions of features, files.

Each call removes some of it, so that it may be stopped at any time, and repeated.
"""

from datetime import datetime, timedelta
from itertools import islice

from jobyard.domain.datasets.change_file import read_change_file
from jobyard.domain.datasets.dataset import FIRST_REVISION, Dataset
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import commits, datasets, edits, versions

DELETED_KEPT = timedelta(days=1)  # readers and exports may have begun before
_FILES_TOGETHER = 1_000


def is_due(dataset: Dataset, now: datetime) -> bool:
    """Whether the files of a deleted dataset may be removed: nobody reads them any more."""
    if dataset.deletion is None or now - dataset.deletion.at < DELETED_KEPT:
        return False
    # One may have been proposed in the moment of the deletion, when the index did not have it yet.
    return not edits.of_dataset(dataset.name, edits.OPEN, after="", limit=1)


def remove_next(dataset: Dataset, context: DatasetContext) -> bool:
    """Remove the next commit with its versions; after the last one, files; after the last one, the
    dataset itself. Returns whether nothing is left.

    A dataset that edit jobs name stays as a tombstone; else its name is free again.
    """
    made = commits.oldest(dataset.name)
    if made is not None:
        _, lines = read_change_file(files.blocks_of(made.file, context))
        versions.remove_all(dataset.name, (each.feature_id for each in lines), made.revision)
        commits.remove(dataset.name, made.revision)
        return False
    stored = files.stored_under(files.root_of(dataset.name), context)
    keys = [each.key for each in islice(stored, _FILES_TOGETHER)]
    if keys:
        files.remove(keys, context)
        return False
    if dataset.revision == FIRST_REVISION and not _has_edits(dataset):
        datasets.remove(dataset)
    else:
        datasets.put_removed(dataset)
    return True


def _has_edits(dataset: Dataset) -> bool:
    lists = (edits.OPEN, edits.ENDED, edits.ARCHIVED)
    return any(edits.of_dataset(dataset.name, each, after="", limit=1) for each in lists)
