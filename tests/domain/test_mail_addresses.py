"""Lists of mail addresses as people and mail programs write them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.mail_addresses import MAX_RECIPIENTS, addresses, all_addresses
from jobyard.domain.text import is_clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '"Doe, Jane" <jane.doe@example.org>, ops@example.org',
            ("jane.doe@example.org", "ops@example.org"),
            id="a name with a comma",
        ),
        pytest.param("Jane Doe <jane@example.org>", ("jane@example.org",), id="a bare name"),
        pytest.param(
            '"says \\"hi\\", <x@y>" <jane@example.org>', ("jane@example.org",), id="escaped quotes"
        ),
        pytest.param(
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            ("pete@silly.test",),
            id="comments (RFC 5322, A.5)",
        ),
        pytest.param(
            'jo@example.org (5" disk), "A, B" <ab@example.org>',
            ("jo@example.org", "ab@example.org"),
            id="a quote in a comment",
        ),
        pytest.param(
            "A Group:Chris Jones <c@a.test>,\r\n joe@where.test,John <jdoe@one.test>;, x@y.test",
            ("c@a.test", "joe@where.test", "jdoe@one.test", "x@y.test"),
            id="a group, and a line that is folded (RFC 5322, A.1.3)",
        ),
        pytest.param("undisclosed-recipients:;", (), id="a group of nobody"),
        pytest.param(
            "Mary Smith <@node.test,@b.test:mary@example.net>, , jdoe@test  . example",
            ("mary@example.net", "jdoe@test.example"),
            id="a route, an empty place and blanks (RFC 5322, A.6)",
        ),
        pytest.param(
            "=?utf-8?Q?Doe,_J=C3=BCrgen?= <j@example.org>", ("j@example.org",), id="an encoded word"
        ),
        pytest.param(
            "=?UTF-8?B?IkTDtmUsIEphbmUiIDxqYW5lQGV4YW1wbGUub3JnPiwgb3BzQGV4YW1wbGUub3Jn?=",
            ("jane@example.org", "ops@example.org"),
            id="the whole list encoded, as S3 does with metadata",
        ),
        pytest.param("Jürgen <j@bücher.example>", ("j@xn--bcher-kva.example",), id="a host of IDN"),
        pytest.param("j@straße.example", ("j@xn--strae-oqa.example",), id="ß is no ss any more"),
        pytest.param("a@x.test; b@y.test", ("a@x.test", "b@y.test"), id="semicolons"),
        pytest.param('"jane"@example.org', ("jane@example.org",), id="quotes nobody needs"),
        pytest.param(
            '"jane doe"@example.org', ('"jane doe"@example.org',), id="quotes that are needed"
        ),
        pytest.param("o'brien+x@example.org", ("o'brien+x@example.org",), id="signs"),
        pytest.param("ops@EXAMPLE.org, ops@example.org", ("ops@example.org",), id="twice is once"),
        pytest.param("", (), id="nothing"),
        pytest.param(" , ,", (), id="nothing but commas"),
    ],
)
def test_a_list_has_these_addresses(text: str, expected: tuple[str, ...]) -> None:
    found = addresses(text)
    assert found.valid == expected
    assert found.invalid == ()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("jane.doe at example.org", "space"),
        ("a@b@example.org", "2 @"),
        ("jane.doe.example.org", "no @"),
        ("jane@localhost", "not a host name"),
        ("jane@10.0.0.12", "not a host name"),
        ("jane@[127.0.0.1]", "not a host name"),
        ("jane@-example.org", "not a host name"),
        ("jane@exa_mple.org", "not a host name"),
        (".jane@example.org", "not a valid name"),
        ("jane..doe@example.org", "not a valid name"),
        ("jürgen@example.org", "ASCII"),
        ("Jane <jane@example.org", "without a >"),
        ("<jane@example.org> Jane", "follows"),
        ("a@example.org b@example.org", "space"),
        ("<>", "no @"),
        (f"{'a' * 65}@example.org", "too long"),
        ("jane@example.org\r\nBcc", "line break"),
        ("jane\x1b@example.org", "control"),
        ('"Jane <jane@example.org>', "not a valid name"),
        ("jane (at work@example.org", "space"),
    ],
)
def test_a_bad_address_is_reported_and_does_not_affect_the_others(bad: str, why: str) -> None:
    found = addresses(f"first@example.org, {bad}, last@example.org")
    assert {"first@example.org", "last@example.org"} <= set(found.valid)
    if '"' not in bad:
        assert len(found.invalid) == 1
        assert why in found.invalid[0].why
        assert is_clean(found.invalid[0].address)


def test_a_line_break_makes_no_header_and_no_group() -> None:
    found = addresses("maps@example.org\r\nBcc: other@example.org")
    assert [each.address.startswith("maps@example.org") for each in found.invalid] == [True]


def test_a_list_has_an_end() -> None:
    found = addresses(",".join(f"a{number}@example.org" for number in range(MAX_RECIPIENTS + 3)))
    assert len(found.valid) == MAX_RECIPIENTS
    assert [each.address for each in found.invalid] == [
        f"a{MAX_RECIPIENTS + n}@example.org" for n in range(3)
    ]
    assert all(str(MAX_RECIPIENTS) in each.why for each in found.invalid)


def test_some_of_many_bad_addresses_are_named_and_the_rest_counted() -> None:
    found = addresses(",".join(f"a{number}" for number in range(9)))
    assert [each.address for each in found.invalid] == ["a0", "a1", "a2", "a3", "5 more"]


def test_lists_are_read_together() -> None:
    found = all_addresses(["a@example.org, b@example.org", "b@example.org", "c at example.org"])
    assert found.valid == ("a@example.org", "b@example.org")
    assert [each.address for each in found.invalid] == ["c at example.org"]


@given(st.text(st.sampled_from('a@.,;:<>()[]"\\ =?q\r\n\tü\ud800')) | st.text())
def test_whatever_is_written_is_read(text: str) -> None:
    found = addresses(text)
    for each in found.valid:
        assert each.isascii()
        assert each.isprintable()
        assert addresses(each).valid == (each,)
    for bad in found.invalid:
        assert is_clean(bad.description)
        bad.description.encode()


def _counted(text: str) -> int:
    """How many lines of Python run to read `text`."""
    import sys

    steps = 0

    def count(_frame: object, event: str, _argument: object) -> Callable[..., object]:
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        addresses(text)
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize(
    "part", ["(", '"', '\\"', "a,", "<@", "<@a,", "a:", "=?a?q?", "(a)", "a@b.cd,"]
)
def test_a_list_twice_as_long_takes_twice_the_steps(part: str) -> None:
    once, twice = (_counted(part * number) for number in (400, 800))
    assert twice < 2.5 * once + 500
