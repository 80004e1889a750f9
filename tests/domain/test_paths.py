"""Names that some disks cannot store, or read as another name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.paths import folded, unportable_reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Readme.txt", "README.TXT"),
        ("caf\u00e9.txt", "cafe\u0301.txt"),
        ("CAF\u00c9/a", "cafe\u0301/A"),
        ("straße", "STRASSE"),
    ],
)
def test_names_with_the_same_folded_form_collide(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@given(st.text(max_size=40))
def test_folding_forgets_composition_and_happens_once(name: str) -> None:
    form = folded(name)

    assert folded(form) == form
    assert folded(unicodedata.normalize("NFD", name)) == form


@pytest.mark.parametrize(
    "name", ["a.txt", "a/b.c/d", ".hidden", "console.txt", "com", "com10", "é"]
)
def test_what_windows_holds_is_portable(name: str) -> None:
    assert unportable_reason(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("C:x", "not allow :"),
        ("what?.txt", "not allow ?"),
        ("a\\b", "not allow \\"),
        ("a./b", "dot or a space"),
        ("a ", "dot or a space"),
        ("Icon\r", "not allow control characters"),
        ("CON", "CON for a device"),
        ("logs/nul.txt", "nul for a device"),
        ("com1.tar.gz", "com1 for a device"),
        ("aux .txt", "device"),
    ],
)
def test_what_windows_cannot_hold_says_why(name: str, why: str) -> None:
    assert why in unportable_reason(name)
