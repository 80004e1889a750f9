"""What the text of a URL alone shows."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobyard.domain.manifests import url_checks as manifest_urls
from jobyard.domain.urls import URL_LENGTH, BadUrl, error_in, parse, percent_encoded, warning_in
from tests.domain.url_texts import REPEATED_UNITS

ANY = st.text(st.characters(categories=None, exclude_categories=()), max_size=60)
WORDS = "http https :// / // : @ ? # [ ] ::1 % . .. & = sig token a b.example 127.1 80 9001 ü \\"
PIECES = st.lists(st.sampled_from([*WORDS.split(), " ", "\n"]), max_size=14).map("".join)
URLS = st.one_of(ANY, PIECES, PIECES.map("http://".__add__))


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://files.example/a.txt", "files.example", 443, "/a.txt"),
        ("HTTP://Files.Example:8080", "files.example", 8080, "/"),
        ("http://files.example?x=1", "files.example", 80, "/?x=1"),
        ("http://files.example./a#part", "files.example.", 80, "/a"),
        ("http://files.example:/a", "files.example", 80, "/a"),
        ("http://under_score.example/a@2x.png", "under_score.example", 80, "/a@2x.png"),
        ("http://files.example/a é.txt", "files.example", 80, "/a%20%C3%A9.txt"),
        ("http://files.example/%c3%a9?q=%zz&r=100%", "files.example", 80, "/%c3%a9?q=%zz&r=100%"),
        ("http://files.example/a/./b/../c/..", "files.example", 80, "/a/"),
        ("http://files.example/../../a//b", "files.example", 80, "/a//b"),
        (
            "http://files.example/{a}|^`<b>[c]",
            "files.example",
            80,
            "/%7Ba%7D%7C%5E%60%3Cb%3E%5Bc%5D",
        ),
        ("http://[2606:4700::1111]:8443/x", "2606:4700::1111", 8443, "/x"),
        ("http://1.1/x", "1.1", 80, "/x"),
    ],
)
def test_a_url_is_requested_as_it_is_written(url: str, host: str, port: int, target: str) -> None:
    found = parse(url)

    assert (found.host, found.port, found.target) == (host, port, target)
    assert parse(found.text) == found


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "empty"),
        ("files.example/x", "begin with"),
        ("//files.example/x", "begin with"),
        ("ftp://files.example/x", "begin with"),
        ("http:/files.example/x", "host"),
        ("http://", "host"),
        ("http:///x", "host"),
        ("http://user@files.example/", "password"),
        ("http://user:word@files.example/", "password"),
        ("http://:@files.example/", "password"),
        ("http://files.example\\@evil.example/", "backslash"),
        ("http://bücher.example/", "xn--"),
        ("http://ﬁles.example/", "xn--"),
        ("http://files..example/", "host"),
        ("http://-files.example/", "host"),
        ("http://%66iles.example/", "host"),
        (f"http://{'a' * 64}.example/", "host"),
        (f"http://{'a.' * 127}example/", "host"),
        ("http://files.example:99999/", "port"),
        ("http://files.example:0/", "port"),
        ("http://files.example:8o/", "port"),
        ("http://files.example:٨٠/", "ASCII"),
        ("http://files.example:9001/", "never"),
        ("http://127.0.0.1:9001/", "never"),
        ("http://[::1/", "IPv6"),
        ("http://[files.example]/", "IPv6"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://1.2.3.4.5/", "number"),
        ("http://256.1.1.1/", "number"),
        ("http://files.example/a b", "%20"),
        ("http://files.example/a\u00a0b", "%20"),
        ("http://files.example/\ta", "%20"),
        ("http://files.example/\x00", "control"),
        ("http://files.example/\x1b[31m", "control"),
        ("http://files.example/\udcff", "control"),
        ("http://files.example/" + "a" * URL_LENGTH, "longer"),
    ],
)
def test_an_invalid_url_is_refused_by_its_text(url: str, word: str) -> None:
    assert word in error_in(url)
    assert manifest_urls.error_in(url)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1/x", "not public"),
        ("http://10.1.2.3/x", "not public"),
        ("http://2130706433/x", "not public"),
        ("http://0x7f.1/x", "not public"),
        ("http://0177.0.0.1/x", "not public"),
        ("http://[::1]/x", "not public"),
        ("http://[::ffff:8.8.8.8]/x", "not public"),
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("http://single-label/c.jpg", "without a dot"),
        ("http://localhost./c.jpg", "without a dot"),
        ("http://files.example:8181/x", "8181"),
        ("https://files.example/a#b.txt", "%23"),
    ],
)
def test_a_url_that_most_deployments_do_not_fetch_is_a_warning(url: str, word: str) -> None:
    assert error_in(url) == ""
    assert word in warning_in(url)


def test_a_host_that_the_deployment_lists_gives_no_warning() -> None:
    listed = {"127.0.0.1:4915", "shelf:80", "files.example:8181", "[::1]:80"}

    for host in ("127.0.0.1:4915", "shelf", "files.example:8181", "[::1]"):
        assert warning_in(f"http://{host}/x", listed) == ""
        assert warning_in(f"http://{host}/x")


@given(URLS)
@example("http://a.example/\u3000")
def test_a_valid_url_can_be_parsed_and_is_sent_in_ascii(url: str) -> None:
    try:
        found = parse(url)
    except BadUrl:
        assert error_in(url)
        return
    assert set(found.target) <= set(map(chr, range(0x21, 0x7F)))
    assert found.target.startswith("/")
    assert parse(found.text) == found
    assert bool(error_in(url)) == (len(url.split()) != 1)
    warning_in(url)


@given(st.binary(max_size=60))
def test_bytes_of_a_header_become_a_url_as_they_stand(raw: bytes) -> None:
    text = percent_encoded(raw)

    assert text.isascii()
    assert text.isprintable()


def test_raw_utf8_is_percent_encoded_byte_by_byte() -> None:
    assert percent_encoded("/Zürich plan.txt".encode()) == "/Z%C3%BCrich plan.txt"
    assert percent_encoded("/Zürich".encode("latin-1")) == "/Z%FCrich"


@pytest.mark.parametrize("unit", REPEATED_UNITS)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    text = f"http://a{unit * (400_000 // len(unit))}@"

    for call in (error_in, warning_in):
        call(text)  # quadratic work would not end today
