"""A cookie is sent only to the origin that set it, within one chain of redirects."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.urls import WebUrl, parse
from jobyard.jobtypes.http_client.cookies import Cookies, http_date

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HERE = parse("https://files.example/shelf/a.txt?x=1")


def after(*lines: bytes, at: WebUrl = HERE) -> Cookies:
    cookies = Cookies()
    cookies.take(at, lines, NOON)
    return cookies


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (b"seen=1", b"seen=1"),
        (b"seen=1; Path=/", b"seen=1"),
        (b' seen = "a b" ;Path=/shelf; HttpOnly; SameSite=Lax', b'seen="a b"'),
        (b"seen=a=b==", b"seen=a=b=="),
        (b"seen=", b"seen="),
        (b"seen=\xe9\xff", b"seen=\xe9\xff"),
        (b"seen=1; Path=nonsense", b"seen=1"),
        (b"seen=1; Path=/shelf/a.txt", b"seen=1"),
        (b"seen=1; Domain=files.example", b"seen=1"),
        (b"seen=1; domain=.EXAMPLE", b"seen=1"),
        (b"seen=1; Secure", b"seen=1"),
        (b"seen=1; Max-Age=60", b"seen=1"),
        (b"seen=1; Expires=Mon, 02 Nov 2026 13:00:00 GMT", b"seen=1"),
        (b"seen=1; Expires=whenever", b"seen=1"),
        (b"seen=1; Expires=Mon, 02 Nov 99999999999999999999 13:00:00 GMT", b"seen=1"),
        (b"seen", b""),
        (b"=1", b""),
        (b"", b""),
        (b"seen=1\r", b""),
        (b"seen=a\tb", b""),
        (b"seen=1; Path=/other", b""),
        (b"seen=1; Path=/shel", b""),
        (b"seen=1; Domain=other.example", b""),
        (b"seen=1; Domain=les.example", b""),
        (b"seen=1; Domain=a.files.example", b""),
        (b"seen=1; Max-Age=0", b""),
        (b"seen=1; Max-Age=-5", b""),
        (b"seen=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", b""),
        (b"seen=" + b"x" * 4096, b""),
    ],
)
def test_a_cookie_is_kept_as_its_line_says(line: bytes, sent: bytes) -> None:
    assert after(line).header(HERE) == sent


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/shelf/a.txt",
        "https://files.example:8443/shelf/a.txt",
        "https://www.files.example/shelf/a.txt",
        "https://example/shelf/a.txt",
        "https://evil.example/shelf/a.txt",
    ],
)
def test_no_other_origin_gets_a_cookie(url: str) -> None:
    for line in (b"seen=1; Path=/", b"seen=1; Path=/; Domain=example"):
        assert after(line).header(parse(url)) == b""


def test_a_cookie_that_is_to_be_secure_is_not_taken_from_plain_http() -> None:
    plain = parse("http://files.example/a")

    assert after(b"seen=1; Secure", at=plain).header(plain) == b""


def test_the_last_of_a_name_and_path_counts_and_the_longest_path_comes_first() -> None:
    cookies = after(b"a=1; Path=/", b"a=2; Path=/shelf", b"a=3; Path=/", b"b=4; Path=/")

    assert cookies.header(HERE) == b"a=2; a=3; b=4"
    cookies.take(HERE, [b"a=; Path=/; Max-Age=0"], NOON)
    assert cookies.header(HERE) == b"a=2; b=4"


def test_a_server_cannot_make_us_store_or_send_unbounded_cookies() -> None:
    cookies = after(*(b"n%d=%s" % (n, b"x" * 1000) for n in range(1_000)))

    assert len(cookies.header(HERE)) <= 8192
    assert cookies.header(HERE).count(b"=") <= 50


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_cookie_breaks_a_request(lines: list[bytes]) -> None:
    sent = after(*lines).header(HERE)

    assert not any(byte < 32 or byte == 127 for byte in sent)


DATE_WORDS = ["Mon", "Nov", "02", "2026", "13:00:00", "GMT", "+0100", "-99999", "9" * 20, ",", "é"]
DATES = st.lists(st.sampled_from(DATE_WORDS), max_size=8).map(" ".join)


@given(DATES | st.text(max_size=30))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    found = http_date(text)

    assert found is None or found.tzinfo is UTC
