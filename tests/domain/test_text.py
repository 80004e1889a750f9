"""Any text from outside can be stored, logged and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.text import MESSAGE_BYTES, REPLACEMENT, clean, is_clean, safe_cell, truncate

ANY = st.text(st.characters(categories=None, exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("résumé 日本", "résumé 日本"),
        ("bad\udcff\udcfe", f"bad{REPLACEMENT}{REPLACEMENT}"),
        ("\x1b[31mred", f"{REPLACEMENT}[31mred"),
        ("OK\r\nJobs: 100 succeeded", f"OK{REPLACEMENT}{REPLACEMENT}Jobs: 100 succeeded"),
        ("exe\u202egnp.txt", f"exe{REPLACEMENT}gnp.txt"),
        (
            "a\u2028b\u2029c\x85d\x7fe\x9bf",
            f"a{REPLACEMENT}b{REPLACEMENT}c{REPLACEMENT}d{REPLACEMENT}e{REPLACEMENT}f",
        ),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ],
)
def test_what_cannot_be_shown_is_marked(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert is_clean(text) == (text == shown)


@given(ANY, st.integers(8, 400))
def test_any_text_becomes_one_line_of_utf8_within_its_limit(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned.encode()) <= limit
    assert len(cleaned.splitlines()) <= 1
    assert clean(cleaned, limit) == cleaned
    assert is_clean(cleaned)


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert clean("x" * 600) == "x" * (MESSAGE_BYTES - 3) + "…"


def test_nothing_is_cut_inside_a_letter() -> None:
    assert truncate("日本日本", 8) == "日…"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =cmd|'/c calc'!A0", "\r=1", "\n=1"]
)
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert safe_cell(text).startswith("'")


@pytest.mark.parametrize("text", ["", "a", "a=1", "https://example.org/-x", "12"])
def test_a_harmless_cell_is_unchanged(text: str) -> None:
    assert safe_cell(text) == text
