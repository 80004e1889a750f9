"""Change files: what a commit did, line by line, each readable alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets import change_file
from jobyard.domain.datasets.change_file import change_lines, parse_change, read_change_file
from jobyard.domain.datasets.changes import ChangeKind, FeatureChange
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.extent import Box
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.errors import BadRequest

ORIGIN = CommitOrigin("e1", 2, (Author("id-anna", "anna"), Author("id-bo", "bo")), "a\nb")


def at(feature_id: str, x: float, **properties: object) -> Feature:
    """A feature on the equator."""
    return Feature(feature_id, {"type": "Point", "coordinates": [x, 0]}, properties)


INSERT = FeatureChange("1", None, at("1", 5, name=None))
UPDATE = FeatureChange("é", at("é", 179), at("é", -179, name="x"))
DELETE = FeatureChange("3", Feature("3", None, {}), None)


def content(*changes: FeatureChange) -> bytes:
    """A change file."""
    return b"".join(change_lines("roads", 4, ORIGIN, changes))


@given(st.integers(1, 2000))
def test_a_change_file_is_read_as_it_was_written_whatever_its_blocks(size: int) -> None:
    text = content(INSERT, UPDATE, DELETE)

    origin, found = read_change_file(text[n : n + size] for n in range(0, len(text), size))
    lines = [*found]

    assert origin == ORIGIN
    assert [(each.feature_id, each.before, each.after) for each in lines] == [
        (each.feature_id, each.before, each.after) for each in (INSERT, UPDATE, DELETE)
    ]
    assert [each.kind for each in lines] == [*ChangeKind]
    for each in lines:  # each can be read alone
        assert parse_change(text[each.start : each.end], each.start) == each


def test_the_boxes_of_a_change_are_around_both_places() -> None:
    _, found = read_change_file([content(UPDATE, DELETE)])
    update, delete = found

    assert update.boxes == (Box(-179, 0, -179, 0), Box(179, 0, 179, 0))
    assert delete.boxes == ()


def test_a_feature_is_changed_once_in_a_commit() -> None:
    with pytest.raises(BadRequest, match="changes feature '1' once"):
        content(INSERT, DELETE, INSERT)


def test_a_commit_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_file, "MAX_CHANGES", 2)
    content(INSERT, UPDATE)
    with pytest.raises(BadRequest, match="up to 2 changes: commit them in parts"):
        content(INSERT, UPDATE, DELETE)

    monkeypatch.setattr(change_file, "MAX_CHANGE_BYTES", 100)
    with pytest.raises(BadRequest, match="up to 100 bytes"):
        content(INSERT)
