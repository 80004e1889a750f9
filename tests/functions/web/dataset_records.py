"""A dataset with files, for the pages."""

from datetime import UTC, datetime
from typing import Any

from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.merge import Features
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from tests.services.datasets.datasets import by_id, changes_to, make_dataset, point

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEFORE = by_id(
    [point("a/b", 1, name="<b>", old=1), point("deleted", -150), Feature("nowhere", None, {})]
)
AFTER = by_id(
    [point("a/b", 2, name=None), point("new", 170, name="n"), Feature("nowhere", None, {"x": [1]})]
)


def a_dataset_with_a_commit(
    name: str, site: Any, before: Features = BEFORE, after: Features = AFTER
) -> None:
    """A dataset whose revision 2 has an insert, two updates and a delete, or what is given."""
    context = DatasetContext(site.settings, site.s3, lambda: NOON)
    make_dataset(name, before.values(), context)
    origin = CommitOrigin("e1", 1, (Author("id-anna", "anna"),), "two <bridges>")
    commit(name, 1, changes_to(before, after), origin, context)
