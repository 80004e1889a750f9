"""An upload changes what its package gave to edit, and nothing is deleted by accident."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.changes import change_of
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits import upload as upload_module
from jobyard.domain.edits.conflict import ConflictVersions, conflict_from, decided
from jobyard.domain.edits.merge import Merge, merge
from jobyard.domain.edits.upload import (
    Choice,
    PackageFeatures,
    Upload,
    UploadedChanges,
    UploadKind,
    check_content,
    read_upload,
    upload_digest,
    uploaded_changes,
)
from jobyard.domain.errors import BadRequest

Properties = Mapping[str, Any]
POINT = {"type": "Point", "coordinates": [1, 2, 3]}


def features(**properties: Any) -> dict[str, Feature]:
    """Features by id, such as `f1={"x": 1}`; `place` is the geometry."""
    return {
        name.removeprefix("f"): Feature(
            name.removeprefix("f"),
            values.get("place"),
            {key: value for key, value in values.items() if key != "place"},
        )
        for name, values in properties.items()
    }


def read(given: Mapping[str, Feature], **members: Any) -> Upload:
    """An upload of some features, with members of the collection."""
    documents = [each.document() for each in given.values()]
    collection = {"type": "FeatureCollection", "features": documents, **members}
    return read_upload([json.dumps(collection).encode()], 7)


def uploaded(
    upload: Upload, kind: UploadKind, package: PackageFeatures, deleting: int | None = None
) -> tuple[list[tuple[str, str]], list[str]]:
    """The kinds and ids of changes, and the codes of findings."""
    result = uploaded_changes(upload, kind, package, deleting)
    return [(each.kind.value, each.feature_id) for each in result.changes], _codes(result)


def _codes(result: UploadedChanges | Upload) -> list[str]:
    return [each.code for each in result.findings]


CHANGES, WHOLE = UploadKind.CHANGES, UploadKind.WHOLE
TWENTY = features(**{f"f{number}": {"x": number} for number in range(1, 21)})
PACKAGE = PackageFeatures(TWENTY, features(f90={"x": 90}), elsewhere={"77"})


def test_changes_are_what_is_listed_and_a_whole_also_deletes_what_is_left_out() -> None:
    some = features(f1={"x": "new"}, f2={"x": 2.0}, f99={"x": 1})
    expected = [("update", "1"), ("insert", "99")]

    assert uploaded(read(some), CHANGES, PACKAGE) == (expected, [])
    without = {name: each for name, each in TWENTY.items() if name != "7"}
    assert uploaded(read(without), WHOLE, PACKAGE) == ([("delete", "7")], [])
    assert uploaded(read({}, deleted=[7, "8"]), CHANGES, PACKAGE)[0] == [
        ("delete", "7"),
        ("delete", "8"),
    ]


def test_a_whole_that_leaves_out_more_than_a_few_says_how_many() -> None:
    few = read(dict([*TWENTY.items()][:9]))  # 11 of 20 are left out

    assert uploaded(few, WHOLE, PACKAGE)[1] == ["DELETIONS_UNCONFIRMED"]
    assert uploaded(few, WHOLE, PACKAGE, deleting=12)[1] == ["DELETIONS_UNCONFIRMED"]
    assert uploaded(few, WHOLE, PACKAGE, deleting=11)[1] == []
    assert uploaded(few, CHANGES, PACKAGE) == ([], [])
    assert uploaded(read(dict([*TWENTY.items()][:10])), WHOLE, PACKAGE)[1] == []


def test_context_is_read_only_and_what_is_not_in_the_package_too() -> None:
    same, other = features(f90={"x": 90}), features(f90={"x": 91})

    assert uploaded(read(same), CHANGES, PACKAGE) == ([], [])
    assert uploaded(read(other), CHANGES, PACKAGE)[1] == ["CONTEXT_CHANGED"]
    assert uploaded(read({}, deleted=[90]), CHANGES, PACKAGE)[1] == ["CONTEXT_CHANGED"]
    assert uploaded(read(features(f77={"x": 1})), CHANGES, PACKAGE)[1] == ["OUTSIDE_PACKAGE"]
    assert uploaded(read({}, deleted=["55"]), CHANGES, PACKAGE)[1] == ["DELETED_UNKNOWN"]
    assert read(features(f77={}, f1={}, f90={})).ids_beyond(TWENTY, PACKAGE.context) == ["77"]


def test_a_feature_is_not_kept_and_deleted() -> None:
    assert uploaded(read(features(f1={"x": 1}), deleted=[1]), CHANGES, PACKAGE)[1] == [
        "DELETED_BAD"
    ]
    assert _codes(read({}, deleted="1")) == ["DELETED_BAD"]
    assert _codes(read({}, deleted=[True])) == ["DELETED_BAD"]


@pytest.mark.parametrize("hostile", ["\ud800", "\u202e1", "\0", "", "x" * 129, 1e300])
def test_what_can_be_no_id_is_not_deleted(hostile: str | float) -> None:
    assert _codes(read({}, deleted=[hostile])) == ["DELETED_BAD"]


def test_more_than_a_commit_takes_is_refused_before_it_is_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload_module, "MAX_CHANGES", 2)
    monkeypatch.setattr(upload_module, "MAX_UPLOADED_FEATURES", 4)
    changed = features(f1={"y": 1}, f2={"y": 1}, f3={"y": 1})

    assert "TOO_MANY_CHANGES" in uploaded(read(changed), CHANGES, PACKAGE)[1]
    assert _codes(read(TWENTY)) == ["TOO_MANY_CHANGES"]
    assert len(read(TWENTY).features) < len(TWENTY)
    assert _codes(read({}, deleted=["1", "2", "3"])) == ["TOO_MANY_CHANGES"]


@pytest.mark.parametrize(
    "choices", [["1"], {"1": []}, {"1": {}}, {"1": None}, {"1": "ours"}, {"\ud800": "mine"}]
)
def test_a_choice_that_is_none_is_refused(choices: Any) -> None:
    assert _codes(read({}, choices=choices)) == ["CHOICE_BAD"]


def test_a_missing_property_and_a_missing_height_are_found() -> None:
    """kart#484."""
    package = PackageFeatures(features(f1={"x": 1, "y": 2, "place": POINT}), {})
    flat = features(f1={"x": 1, "place": {"type": "Point", "coordinates": [1, 2]}})

    assert uploaded(read(flat), CHANGES, package) == (
        [("update", "1")],
        ["PROPERTY_DROPPED", "HEIGHTS_DROPPED"],
    )


def test_a_missing_property_is_null_where_the_dataset_says_so() -> None:
    package = PackageFeatures(
        features(f1={"x": 1, "y": None}, f2={"x": 1}), {}, is_missing_null=True
    )

    result = uploaded_changes(read(features(f1={"x": 1}, f2={})), CHANGES, package)

    assert [each.after and each.after.properties for each in result.changes] == [{"x": None}]
    assert _codes(result) == []


def test_null_ids_get_new_ids_that_none_has_and_a_map_tells_them() -> None:
    """gdal#7258."""
    unnamed = '{"type": "Feature", "geometry": null, "properties": {"x": %d}}'
    named = '{"type": "Feature", "id": 5, "geometry": null, "properties": {}}'
    lines = [unnamed % 1, named, unnamed % 1, unnamed % 2]
    text = '{"type": "FeatureCollection", "features": [\n' + ",\n".join(lines) + "]}"

    upload = read_upload([text.encode()], 7)

    assert sorted(upload.given_ids) == ["2:1", "4:1", "5:1"]
    assert len(upload.features) == len({*upload.given_ids.values(), "5"}) == 4


def test_features_without_an_id_that_are_on_one_line_are_all_in_the_map() -> None:
    unnamed = '{"type": "Feature", "geometry": null, "properties": {"x": %d}}'
    text = f'{{"type": "FeatureCollection", "features": [{unnamed % 1},{unnamed % 2}]}}'

    upload = read_upload([text.encode()], 7)

    assert {at: upload.features[each].properties for at, each in upload.given_ids.items()} == {
        f"1:{text.index(unnamed % x) + 1}": {"x": x} for x in (1, 2)
    }


def test_inserted_ids_that_became_live_meanwhile_are_renumbered_with_a_map() -> None:
    """geodiff#62."""
    mine = features(**{f"f{number}": {"by": "me"} for number in range(101, 105)})
    theirs = features(f101={"by": "them"}, f102={"by": "them"})

    merged = merge({}, mine, theirs, renumbers=True)

    assert merged.new_ids == {"101": "105", "102": "106"}
    assert len(merged.applied_to(theirs)) == 6


def test_a_file_that_was_cut_off_deletes_nothing() -> None:
    """mobile#2382."""
    upload = read_upload([b'{"type": "FeatureCollection", "features": ['], 7)

    assert upload.has_errors
    with pytest.raises(BadRequest, match="nothing was changed"):
        check_content("a" * 64, "b" * 64)


def test_an_upload_is_the_same_if_job_attempt_package_and_content_are() -> None:
    one = upload_digest("e1", 1, "e1.1.1", "a")

    assert one == upload_digest("e1", 1, "e1.1.1", "a")
    assert (
        len({one, upload_digest("e1", 2, "e1.1.1", "a"), upload_digest("e1", 1, "e1.1.1", "b")})
        == 3
    )


BASE = features(f1={"x": 0, "y": 0, "z": 0}, f2={"x": 0}, f3={"x": 0})
MINE = features(f1={"x": 1, "y": 1, "z": 0}, f2={"x": 1})
THEIRS = features(f1={"x": 2, "y": 0, "z": 2}, f3={"x": 2})


def conflicts() -> list[ConflictVersions]:
    """Of features 1 (both update), 2 (theirs deletes), and 3 (mine deletes)."""
    return [
        ConflictVersions(each, *(of.get(each.feature_id) for of in (BASE, MINE, THEIRS)))
        for each in merge(BASE, MINE, THEIRS).conflicts
    ]


def after(upload: Upload) -> dict[str, Properties | None]:
    """The features that were decided to differ from theirs."""
    result = decided(conflicts(), upload, 7)
    assert not result.findings
    return {each.feature_id: each.after and each.after.properties for each in result.changes}


def test_a_choice_keeps_what_only_one_side_changed() -> None:
    ids = ("1", "2", "3")

    assert after(read({}, choices=dict.fromkeys(ids, "mine"))) == {
        "1": {"x": 1, "y": 1, "z": 2},
        "2": {"x": 1},
        "3": None,
    }
    assert after(read({}, choices=dict.fromkeys(ids, "theirs"))) == {"1": {"x": 2, "y": 1, "z": 2}}


def test_every_conflict_is_decided_and_nothing_else_is_changed() -> None:
    upload = read(features(f1={"x": 3, "y": 1, "z": 2}, f9={}), deleted=[3])

    result = decided(conflicts(), upload, 7)

    assert [(each.code, each.feature_id) for each in result.findings] == [
        ("CONFLICT_OPEN", "2"),
        ("OUTSIDE_PACKAGE", "9"),
    ]
    assert _codes(read({}, choices={"1": "ours"})) == ["CHOICE_BAD"]


@pytest.mark.parametrize(("choice", "is_kept"), [("mine", False), ("theirs", True)])
def test_a_deletion_of_what_somebody_changed_is_decided_once(choice: str, is_kept: bool) -> None:
    """iD#5114."""
    base, theirs = features(f1={"x": 1}), features(f1={"x": 2})
    (conflict,) = merge(base, {}, theirs).conflicts
    versions = ConflictVersions(conflict, base["1"], None, theirs["1"])

    made = decided([versions], read({}, choices={"1": choice}), 7)

    mine = Merge(tuple(made.changes)).applied_to(theirs)
    assert ("1" in mine) is is_kept
    again = merge(theirs, mine, theirs)
    assert (again.conflicts, again.applied_to(theirs)) == ((), mine)


def test_only_a_value_made_by_hand_asks_for_another_review() -> None:
    both, deleted_there, deleted_here = conflicts()
    mixed, by_hand = features(f1={"x": 1, "y": 0, "z": 2}, f2={"x": 3}).values()

    assert both.has_only_values_of(mixed, 7)
    assert not both.has_only_values_of(by_hand, 7)
    assert not both.has_only_values_of(None, 7)
    assert deleted_there.has_only_values_of(None, 7)
    assert deleted_there.has_only_values_of(MINE["2"], 7)
    assert not deleted_there.has_only_values_of(by_hand, 7)
    assert deleted_here.has_only_values_of(THEIRS["3"], 7)


def test_a_conflict_is_the_same_after_it_was_stored() -> None:
    for each in conflicts():
        stored = conflict_from(json.loads(json.dumps(each.document())))

        assert stored.conflict == each.conflict
        for one, other in ((stored.base, each.base), (stored.theirs, each.theirs)):
            assert change_of("", one, other) is None


VALUES = st.dictionaries(st.sampled_from("xyz"), st.sampled_from([0, 1, None]), max_size=3)


@given(VALUES, VALUES, VALUES, st.sampled_from(Choice))
def test_a_choice_loses_nothing_that_is_not_in_conflict(
    base: Properties, mine: Properties, theirs: Properties, choice: Choice
) -> None:
    versions = [{"1": Feature("1", None, each)} for each in (base, mine, theirs)]
    for conflict in merge(*versions).conflicts:
        found = ConflictVersions(conflict, *(each["1"] for each in versions))
        chosen = found.as_chosen(choice, 7)
        assert chosen is not None
        winner = mine if choice is Choice.MINE else theirs

        assert found.has_only_values_of(chosen, 7)
        for name in "xyz":
            value = chosen.properties.get(name, "missing")
            sides = [side.get(name, "missing") for side in (base, mine, theirs)]
            if name in conflict.difference.properties:
                assert value == winner.get(name, "missing")
            elif sides[1] != sides[0]:
                assert value == sides[1]
            else:
                assert value == sides[2]
