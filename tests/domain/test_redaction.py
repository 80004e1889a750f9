"""URLs and texts are shown without what nobody else may know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.redaction import (
    HIDDEN,
    parameters_without_secrets,
    redacted,
    text_without_secrets,
    without_secrets,
)
from tests.domain.url_texts import REPEATED_UNITS


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://reader:secret-word@files.example/a", "https://***@files.example/a"),
        ("https://reader@files.example/a", "https://***@files.example/a"),
        ("https://reader:secr@et@files.example/a@2x", "https://***@files.example/a@2x"),
        ("https://reader:sec/ret@files.example/a", "https://***@files.example/a"),
        ("https://reader:sec ret#?@files.example/a", "https://***@files.example/a"),
        ("https://reader:/secret@files.example/a", "https://***@files.example/a"),
        ("https://reader:\\secret@files.example/a", "https://***@files.example/a"),
        ("https://s.example/k?a=1;sig=b;c=2", "https://s.example/k?a=1;sig=***;c=2"),
        (
            "https://s.example/k?token=a;b&jwt=c&pw=d",
            "https://s.example/k?token=***&jwt=***&pw=***",
        ),
        ("https://https://reader:secret@files.example/a", "https://https://***@files.example/a"),
        ("https:///reader:secret@files.example/a", "https://***@files.example/a"),
        ("https:/\\\\reader:secret@files.example/a", "***@files.example/a"),
        (
            "https://f.example/?token%5B%5D=word&x_[key]=1",
            "https://f.example/?token%5B%5D=***&x_[key]=1",
        ),
        ("//reader:secret@files.example/a", "***@files.example/a"),
        ("reader:secret@files.example/a", "***@files.example/a"),
        ("https://files.example/a@2x.png", "https://files.example/a@2x.png"),
        ("https://files.example:8080/a@2x.png", "https://files.example:8080/a@2x.png"),
        ("https://p.example/?u=http://me:pw@x/", "https://p.example/?u=http://***@x/"),
        (
            "https://b.s3.example/k?X-Amz-Date=1&X-Amz-Signature=abc&X-Amz-Security-Token=def",
            "https://b.s3.example/k?X-Amz-Date=1&X-Amz-Signature=***&X-Amz-Security-Token=***",
        ),
        ("https://s.example/k?sv=2&sig=a%2Bb&se=3", "https://s.example/k?sv=2&sig=***&se=3"),
        (
            "https://s.example/k?Signature=a&Expires=3",
            "https://s.example/k?Signature=***&Expires=3",
        ),
        (
            "https://s.example/k?X%2DAmz%2DSignature=a",
            "https://s.example/k?X%2DAmz%2DSignature=***",
        ),
        ("https://s.example/k?api_key=a&page=2", "https://s.example/k?api_key=***&page=2"),
        ("https://s.example/k#access_token=a", "https://s.example/k#access_token=***"),
        ("https://s.example/k;jsessionid=a?b=c", "https://s.example/k;jsessionid=***"),
        ("https://s.example/k?id=7&name=sig.txt", "https://s.example/k?id=7&name=sig.txt"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert without_secrets(shown) == shown


def test_urls_in_text_are_shown_without_their_secrets() -> None:
    words = "cannot read http://a:b@c.example/ nor https://d.example/?sig=e, ask f@g.example"

    assert text_without_secrets(words) == (
        "cannot read http://***@c.example/ nor https://d.example/?sig=*** ask f@g.example"
    )


def test_parameters_are_shown_without_secrets_at_any_depth() -> None:
    shown = parameters_without_secrets(
        {
            "secret": "jobyard/calls/house",
            "url": "https://u:p@host/?sig=abc",
            "headers": {"Authorization": "Bearer abc", "X-Api-Key": "abc", "Accept": "text/csv"},
            "body": {"steps": [{"callback": "https://host/?token=abc", "password": ""}, 1, None]},
        }
    )

    assert shown == {
        "secret": "jobyard/calls/house",
        "url": "https://***@host/?sig=***",
        "headers": {"Authorization": "***", "X-Api-Key": "***", "Accept": "text/csv"},
        "body": {"steps": [{"callback": "https://host/?token=***", "password": ""}, 1, None]},
    }


def test_a_url_is_shown_on_one_line_and_not_at_any_length() -> None:
    assert redacted("http://a:b@c.example/\r\n\x1b[1m") == f"http://{HIDDEN}@c.example/���[1m"
    assert len(redacted("http://c.example/" + "ü" * 10_000).encode()) <= 300


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12),
    st.sampled_from(["", "/", "?", "#", "@", ":", " ", "\\"]),
    st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "//", ""]),
)
def test_no_password_is_ever_shown(word: str, mark: str, scheme: str) -> None:
    password = f"x{word}{mark}{word}y"

    assert word not in without_secrets(f"{scheme}user:{password}@host.test/a.txt")


@pytest.mark.parametrize("unit", REPEATED_UNITS)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    text = f"http://a{unit * (400_000 // len(unit))}@"

    for call in (without_secrets, text_without_secrets, redacted):
        call(text)  # quadratic work would not end today
