"""An ark has one normal form, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.arks import ARK_LENGTH, normal_ark


@pytest.mark.parametrize(
    ("text", "ark"),
    [
        ("ark:/12148/btv1b8449691v", "ark:/12148/btv1b8449691v"),
        ("ark:12148/btv1b8449691v", "ark:/12148/btv1b8449691v"),
        ("ARK:/12148/btv1b8449691v", "ark:/12148/btv1b8449691v"),
        ("https://n2t.example/ark:/12148/btv1b8449691v", "ark:/12148/btv1b8449691v"),
        ("ark:/65665/m3-a1b2-c3", "ark:/65665/m3a1b2c3"),
        ("ark:/65665/m3\u2010a1b2\u2013c3", "ark:/65665/m3a1b2c3"),
        ("ark:/85335/9g54xs", "ark:/85335/9g54xs"),
        ("ark:/b5072/s3Q=~*+@_$", "ark:/b5072/s3Q=~*+@_$"),
        ("ark:/1/x%c3%A9", "ark:/1/x%C3%A9"),
        ("ark:/1/%78%2Dy%2fz%2E", "ark:/1/xy%2Fz"),
        ("ark:/1/x/part/2/", "ark:/1/x/part/2"),
        ("ark:/1/x//part/.2", "ark:/1/x/part/2"),
        ("ark:/1/x.v2.fr.v2", "ark:/1/x.fr.v2"),
    ],
)
def test_spellings_of_one_ark_have_one_normal_form(text: str, ark: str) -> None:
    assert normal_ark(text) == ark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ark:",
        "ark:/12148",
        "ark:/12148/",
        "ark:/12148/---",
        "ark:/12148/./",
        "ark:/name/x",
        "ark:/12148/x y",
        "ark:/12148/x?info",
        "ark:/12148/x\n",
        "ark:/12148/\u00e9",
        "ark:/12148/a%2",
        "ark:/12148/x.v1/part",
        "ar\u212a:/12148/x",
        "doi:10.1/x",
        "https://reader:word@n2t.example/ark:/12148/x",
        "ark:/12148/" + "x" * ARK_LENGTH,
    ],
)
def test_text_that_is_not_an_ark_has_no_normal_form(text: str) -> None:
    assert normal_ark(text) == ""


@given(st.text("aB1-./%2fF~\u2010", max_size=30).map("ark:12148/x".__add__))
def test_the_normal_form_is_stable_and_has_no_hyphens(text: str) -> None:
    ark = normal_ark(text)

    assert normal_ark(ark) == ark
    assert "-" not in ark
    assert normal_ark(text.replace("ark:", "ark:/", 1)) == ark
    assert normal_ark(text.replace("x", "x-", 1)) == ark
