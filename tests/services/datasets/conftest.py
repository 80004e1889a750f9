"""Fixtures of the tests of datasets."""

import pytest

from jobyard.domain.datasets import base_format
from jobyard.services.datasets import base, readers
from jobyard.services.datasets.context import DatasetContext
from tests.harness import Harness
from tests.services.datasets.datasets import context_of


@pytest.fixture
def context(harness: Harness) -> DatasetContext:
    """The context of the services."""
    return context_of(harness)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few features need many chunks, segments and blocks."""
    monkeypatch.setattr(base_format, "CHUNK_FEATURES", 3)
    monkeypatch.setattr(base_format, "ID_BLOCK", 4)
    monkeypatch.setattr(base, "SEGMENT_CHUNKS", 2)
    monkeypatch.setattr(readers, "_MAX_CACHED_CHUNKS", 2)
