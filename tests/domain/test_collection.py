"""Who may deposit into a collection, which arks it may name, and the size of its record."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from jobyard.domain.arks import naan_of
from jobyard.domain.collection import (
    MAX_ADDRESSES,
    MAX_GROUPS,
    MAX_NAANS,
    MAX_PEOPLE,
    NOBODY,
    Collection,
    CollectionChange,
    Depositor,
    deposit_refusal,
)
from jobyard.domain.errors import BadRequest

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
MAPS = Collection(
    "maps",
    1,
    "anna",
    "id-anna",
    people={"id-bo": "bo"},
    groups=frozenset({"curators"}),
    naans=("13030",),
)


def change(**fields: str) -> CollectionChange:
    return CollectionChange(
        **{"event": "edit", "at": NOON, "actor": "anna", "sub": "id-anna"}
        | {"reason": "because", "cause": "r1"}
        | fields  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (Depositor("id-anna"), True),
        (Depositor("id-bo"), True),
        (Depositor("id-cy", frozenset({"curators", "depositor"})), True),
        (Depositor("id-cy", frozenset({"admin"})), True),
        (Depositor("id-cy", frozenset({"operator", "depositor", "viewer"})), False),
        (Depositor("anna"), False),
        (Depositor("bo"), False),
        (Depositor("curators"), False),
        (Depositor("machine"), False),
        (Depositor("s3"), False),
        (NOBODY, False),
    ],
)
def test_the_right_is_a_persons_by_id_or_a_groups(who: Depositor, may: bool) -> None:
    assert MAPS.may_deposit(who) is may
    assert (deposit_refusal("maps", MAPS, who) == "") is may


def test_what_nobody_submitted_has_the_right_that_the_collection_gives_to_drops() -> None:
    dropping = MAPS.changed(change(), accepts_drops=True)

    assert dropping.may_deposit(NOBODY)
    assert not MAPS.may_deposit(Depositor("", frozenset({"admin", "curators"})))
    assert "--drops" in deposit_refusal("maps", MAPS, NOBODY)


def test_a_missing_collection_accepts_nothing_even_from_an_admin() -> None:
    words = deposit_refusal("nowhere", None, Depositor("id-cy", frozenset({"admin"})))

    assert "there is no collection 'nowhere'" in words


@pytest.mark.parametrize(
    ("ark", "naan"),
    [
        ("ark:/13030/famous", "13030"),
        ("ark:13030/famous", "13030"),
        ("ark:/13030/a/b/13031", "13030"),
        ("ark:/99999/13030", "99999"),
        ("ark:/130300/x", "130300"),
        ("ark:/13030", ""),
        ("13030/x", ""),
        ("", ""),
    ],
)
def test_the_authority_of_an_ark_is_what_stands_first(ark: str, naan: str) -> None:
    assert naan_of(ark) == naan
    assert MAPS.may_assign(ark) is (naan == "13030")


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("people", MAX_PEOPLE),
        ("groups", MAX_GROUPS),
        ("naans", MAX_NAANS),
        ("notify", MAX_ADDRESSES),
    ],
)
def test_a_collection_has_bounded_lists(field: str, most: int) -> None:
    def many(number: int) -> object:
        names = [f"n{each}" for each in range(number)]
        return {"people": dict.fromkeys(names, "x"), "groups": frozenset(names)}.get(
            field, tuple(names)
        )

    assert len(getattr(MAPS.changed(change(), **{field: many(most)}), field)) == most
    with pytest.raises(BadRequest, match=f"up to {most}"):
        MAPS.changed(change(), **{field: many(most + 1)})


def test_whatever_is_done_to_a_collection_its_record_stays_small() -> None:
    wide = "\U0001f5fa" * 128  # the longest name there is, in letters of four bytes
    collection = MAPS.changed(
        change(event="create", reason=wide * 9, summary=wide * 9),
        people={f"{number:036}": wide for number in range(MAX_PEOPLE)},
        groups=frozenset(f"{number:0128}" for number in range(MAX_GROUPS)),
        naans=tuple(f"{number:010}" for number in range(MAX_NAANS)),
        notify=tuple(f"{number:0254}" for number in range(MAX_ADDRESSES)),
    )
    for number in range(100):
        collection = collection.changed(
            change(cause=f"r{number}", actor=wide, reason=wide * 9, summary=wide * 9)
        )

    document = json.dumps(asdict(collection), ensure_ascii=False, default=str)
    assert len(document.encode()) < 110_000
    assert [each.event for each in collection.changes[:2]] == ["create", "edit"]
    assert [each.cause for each in collection.changes[-20:]] == [f"r{n}" for n in range(80, 100)]
