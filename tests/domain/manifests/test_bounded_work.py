"""No manifest of n bytes takes more than so many times n of work, or of findings.

Work is counted, not timed: calls, and for methods that look at all of a text or a list its length.
What a regular expression looks at cannot be counted so; of those there are but few that search.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.manifests.lines import LINE_BYTES
from tests.domain.manifests.manifest_texts import MD5, Outcome, checkm, read, row

FEW, MANY = 500, 4_000  # bytes, eight times as many
MOST_GROWTH = 12  # of the work for eight times the bytes: allows logarithms, no squares
LOOKS_AT_ALL = {
    *("casefold", "count", "decode", "encode", "find", "index", "insert", "lower", "partition"),
    *("remove", "replace", "rfind", "rpartition", "rsplit", "split", "strip", "translate"),
}


def work_of(data: bytes, filename: str) -> tuple[int, Outcome]:
    """The work of reading `data`, and the result. Calls of or by slipcover's probes are none."""
    work = 0

    def note(frame: FrameType, event: str, called: Any) -> None:
        nonlocal work
        if event not in ("call", "c_call") or frame.f_globals["__name__"].startswith("slipcover"):
            return
        if event == "c_call":
            if called.__module__ == "slipcover.probe":
                return
            if called.__name__ in LOOKS_AT_ALL:
                looked_at = called.__self__
                work += len(looked_at) if hasattr(looked_at, "__len__") else 0
        work += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        outcome = read(data, filename=filename)
    finally:
        sys.setprofile(before)
    return work, outcome


UNITS = [
    "%20",
    "%20a",
    "a%20%20",
    "%7c",
    " ",
    "\t",
    "a ",
    "\u00a0",
    "|",
    " | ",
    ",",
    ";",
    ",,;",
    '"',
    '""',
    '"a",',
    'a"',
    "/",
    "a/",
    "./",
    "../",
    "\\",
    ".",
    ":",
    "@",
    "://",
    "http://a:b@",
    "http://x/?sig=1&",
    "#",
    "%sc;",
    "\u0301\u0316",
    "\u00e9",
    "\ufeff",
    "\ufffd",
    "\0",
    "\x1b",
    "\r",
    "\n",
    "\n\n ",
    "#%fields",
    "\n#%prefix | mrt: | x",
    "\n#",
    "[",
    "{",
    '{"a":',
    "[[],",
    '"a":1,',
    '"url":"http://x/a",',
    "1",
    "1e9",
    "\\u0061",
    "\\",
    "ark:/1/",
    "x-",
    "fileUrl,",
    "fileUrl | ",
    "a,b\n",
    "http://x/a,a\n",
    '{"url":"http://x/a","name":"a"}\n',
    '{"shelf":1}\n',
    "http://x/a | sha1 | 0 | x | | ../a | x | y\n",
]

URL = "https://example.org/a"
PLACES: dict[str, tuple[str, Callable[[str], str]]] = {
    "alone": ("manifest", str),
    "Checkm name": ("m.checkm", lambda text: checkm(row(name=f"a{text}b"))),
    "Checkm URL": ("m.checkm", lambda text: checkm(row(f"https://{text}x"))),
    "Checkm digest": ("m.checkm", lambda text: checkm(row(URL, "md5", f"{MD5}{text}"))),
    "Checkm last field": ("m.checkm", lambda text: checkm(f"{row()} | {text}")),
    "Checkm local": (
        "m.checkm",
        lambda text: checkm(row() + f" | ark:/1/x | {text}").replace("ingest", "container-batch"),
    ),
    "Checkm fields": ("m.checkm", lambda text: checkm(row()).replace("nfo:fileName", text)),
    "Checkm profile": ("m.checkm", lambda text: checkm(row()).replace("mrt-ingest", text)),
    "Checkm rows": ("m.checkm", lambda text: checkm(text)),
    "CSV header": ("m.csv", lambda text: f"fileUrl,fileName,{text}\n{URL},a,b\n"),
    "CSV value": ("m.csv", lambda text: f"fileUrl,fileName,localIdentifier\n{URL},a,{text}\n"),
    "CSV quoted": ("m.csv", lambda text: f'fileUrl,fileName,title\n{URL},a,"{text}"\n'),
    "JSON name": ("m.jsonl", lambda text: f'{{"url": "{URL}", "name": "a{text}"}}\n'),
    "JSON value": ("m.jsonl", lambda text: f'{{"url": "{URL}", "parameters": {text}}}\n'),
    "JSON keys": ("m.jsonl", lambda text: f'{{"url": "{URL}", {text} "name": "a"}}\n'),
    "JSON locals": ("m.jsonl", lambda text: f'{{"url": "{URL}", "local": ["{text}"]}}\n'),
}


def check(place: str, unit: str) -> None:
    """Bound the work and the findings of repeated `unit` in `place` by a share of its bytes."""
    filename, made = PLACES[place]
    hold_to_growth(filename, lambda size: made(unit * (size // len(unit))))


def hold_to_growth(filename: str, text: Callable[[int], str]) -> None:
    few, _ = work_of(text(FEW).encode(), filename)
    many, outcome = work_of(text(MANY).encode(), filename)

    assert many <= MOST_GROWTH * few + FEW * MANY // 320
    messages = [json.dumps(each.message) for each in outcome.findings]  # all else is short
    assert max(map(len, messages), default=0) <= 1_380
    by_line = Counter(each.line for each in outcome.findings)
    assert max(by_line.values(), default=0) <= 20


@pytest.mark.turns(4)
@pytest.mark.parametrize("place", PLACES)
def test_work_and_findings_grow_no_faster_than_bytes(place: str) -> None:
    for unit in UNITS:
        check(place, unit)


@given(
    st.sampled_from(list(PLACES)),
    st.lists(st.sampled_from(UNITS), min_size=2, max_size=4).map("".join),
)
@settings(max_examples=10, deadline=None)
def test_work_and_findings_of_mixed_units_grow_no_faster_than_bytes(place: str, unit: str) -> None:
    check(place, unit)


def numbered(size: int, form: str) -> str:
    """Numbered copies of `form`, with that many bytes in all."""
    return ", ".join(form.format(number) for number in range(10_000, 10_000 + size // len(form)))


NUMBERED: dict[str, tuple[str, Callable[[int], str]]] = {
    "other keys": ("m.jsonl", lambda size: f'{{"url": "{URL}", {numbered(size, PAIR)}}}'),
    "other keys, one twice": (
        "m.jsonl",
        lambda size: f'{{{numbered(size, PAIR)}, "z": 1, "z": 2}}',
    ),
    "other keys in parameters, one twice": (
        "m.jsonl",
        lambda size: (
            f'{{"url": "{URL}", "parameters": {{{numbered(size, PAIR)}, "z": 1, "z": 2}}}}'
        ),
    ),
    "a key in many ways": ("m.jsonl", lambda size: f'{{{numbered(size, WAY)}, "name": "a"}}'),
    "identifiers": ("m.jsonl", lambda size: f'{{"url": "{URL}", "local": [{numbered(size, ID)}]}}'),
    "other columns": ("m.csv", lambda size: f"fileUrl,{numbered(size, 'column {}')}\n{URL}\n"),
    "other columns of Checkm": (
        "m.checkm",
        lambda size: checkm(row()).replace("| nfo:f", f"| {numbered(size, 'x:{} |')} nfo:f"),
    ),
    "other spellings of a name": (
        "m.checkm",
        lambda size: checkm(
            *(row("s3://bucket/k", name=f"{spelled(n)}") for n in range(size // len(row())))
        ),
    ),
    "folders in folders": (
        "m.checkm",
        lambda size: checkm(*(row(name=f"{n}/a/b/c/d/e") for n in range(size // len(row())))),
    ),
}
PAIR, WAY, ID = '"key {}": 1', '"{}:url": "http://x/a"', '"identifier {}"'


def spelled(number: int) -> str:
    """A name in another spelling for each number."""
    return "".join("aA"[number >> bit & 1] for bit in range(12))


@pytest.mark.turns(4)
@pytest.mark.parametrize("case", NUMBERED)
def test_work_for_what_is_never_the_same_grows_no_faster_than_bytes(case: str) -> None:
    hold_to_growth(*NUMBERED[case])


def test_a_line_full_of_unknown_keys_is_one_finding() -> None:
    keys = ", ".join(f'"key {number}": {number}' for number in range(3_000))

    outcome = read(f'{{"url": "{URL}", "name": "a", {keys}}}', filename="m.jsonl")

    (finding,) = outcome.findings
    assert finding.code == "FIELD_UNKNOWN"
    assert "not a key of mrt-ingest-manifest" in finding.message
    assert "and 2995 more" in finding.message


def test_many_lines_as_long_as_may_be_are_read() -> None:
    """Each took seconds where an end was looked for from every blank on."""
    field = "a" + "%20" * ((LINE_BYTES - 200) // 3) + "x"

    outcome = read(checkm(*(f"{URL}{n} | | | | | a{n} | {field}" for n in range(200))))

    assert outcome.codes == []
    assert len(outcome.entries) == 200
