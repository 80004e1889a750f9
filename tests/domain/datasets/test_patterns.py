"""Patterns match what Python's own expressions match, and never take longer than the text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.patterns import MAX_PATTERN, MAX_STATES, InvalidPattern, Pattern

ATOMS = ["a", "b", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\W", r"[\s\-x]", "(?:ab)", "(b|)"]
SIGNS = ["", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"]
REPEATED = st.tuples(st.sampled_from(ATOMS), st.sampled_from(SIGNS)).map("".join)
PART = REPEATED | st.sampled_from("^$")
PARTS = st.lists(PART, max_size=4).map("".join)
PATTERNS = st.recursive(
    PARTS,
    lambda inner: st.tuples(inner, inner, st.sampled_from(SIGNS)).map(
        lambda found: f"({found[0]}|{found[1]}){found[2]}"
    ),
    max_leaves=4,
)


@given(PATTERNS, st.text("abcx1 \n-", max_size=8))
def test_a_pattern_matches_as_an_expression_of_python_does(pattern: str, text: str) -> None:
    expected = re.search(pattern.replace("$", r"\Z"), text, re.ASCII)

    assert Pattern(pattern).is_in(text) == (expected is not None)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{5}(-\d{4})?$", "94501-1234"),
        (r"^[A-Z][\w .'-]*$", "Alameda St. 4"),
        ("^é+\\u00e9$", "ééé"),
        (r"\x41\{\}\.\|", "A{}.|"),
        ("[^]", "\n"),
    ],
)
def test_a_usual_pattern_matches(pattern: str, text: str) -> None:
    assert Pattern(pattern).is_in(text)
    assert not Pattern(pattern).is_in("")


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(a|ab)*(b|a)*$", "a*a*a*a*a*a*b", "(a|b)*a(a|b){12}x"]
)
def test_a_slow_pattern_is_as_fast_as_others(pattern: str) -> None:
    """With Python's expressions most of these take years."""
    assert not Pattern(pattern).is_in("a" * 3_000 + "!")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?=a)b", "no lookaround"),
        ("(?<n>a)", "no lookaround"),
        (r"(a)\1", r"\\1 is not supported"),
        (r"\bword", r"\\b is not supported"),
        (r"\p{L}", r"\\p is not supported"),
        ("a)", "closes no group"),
        ("(a", "not closed"),
        ("[a", "ends too early"),
        ("a\\", "ends too early"),
        ("*a", "repeats nothing"),
        ("a**", "repeats nothing"),
        ("a{2,1}", "smaller number first"),
        ("a{x}", "a repetition is"),
        ("[z-a]", "first letter first"),
        ("((a{100}){100}){100}", f"more than {MAX_STATES} states"),
        ("a{99999}", f"more than {MAX_STATES} states"),
        ("(" * 200 + ")" * 200, "nested"),
        ("a" * (MAX_PATTERN + 1), f"up to {MAX_PATTERN} letters"),
        (r"\u12", "hexadecimal"),
    ],
)
def test_what_is_not_allowed_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InvalidPattern, match=message):
        Pattern(pattern)
