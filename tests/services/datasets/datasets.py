"""Datasets on the emulator, and what they should contain."""

from collections.abc import Iterable
from typing import Any

from jobyard.domain.datasets.base_format import place
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.feature import Feature
from jobyard.services.datasets import base, files
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import datasets
from tests.harness import Harness

Features = dict[str, Feature]


def context_of(harness: Harness) -> DatasetContext:
    """The context of the services."""
    return DatasetContext(harness.settings, harness.s3, harness.now)


def point(feature_id: str, x: float, y: float = 0.0, **properties: Any) -> Feature:
    """A feature at a point."""
    return Feature(feature_id, {"type": "Point", "coordinates": [x, y]}, properties)


def by_id(features: Iterable[Feature]) -> Features:
    """Features by their ids. There are no two of one id."""
    listed = [*features]
    found = {each.feature_id: each for each in listed}
    assert len(found) == len(listed)
    return found


def origin(number: int = 1, attempt: int = 1) -> CommitOrigin:
    """An attempt at an edit job."""
    return CommitOrigin(f"e{number}", attempt, (Author("id-anna", "anna"),), f"edit {number}")


def make_dataset(name: str, features: Iterable[Feature], context: DatasetContext) -> Dataset:
    """A dataset with these features at its first revision."""
    folder = files.base_folder(name, 1, "test")
    index = base.write_base(base.in_curve_order(map(place, features)), folder, context)
    dataset = Dataset(
        name, name.title(), context.now(), "anna", "id-anna", folder, index.features, index.boxes
    )
    datasets.put_new(dataset)
    return dataset


def changes_to(before: Features, after: Features) -> list[FeatureChange]:
    """The changes from one to the other."""
    found = (change_of(each, before.get(each), after.get(each)) for each in before | after)
    return [each for each in found if each]
