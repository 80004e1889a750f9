"""Rules of every format: encoding, characters, line lengths, blocks, memory."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobyard.domain.manifests.lines import LINE_BYTES
from jobyard.domain.manifests.profiles import INGEST, MANIFEST_BATCH
from jobyard.domain.manifests.reader import ManifestReader
from tests.domain.manifests.manifest_texts import MD5, checkm, read, row

GOOD = checkm(row())

CHARACTERS = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), [("BYTE_ORDER_MARK", 1, 1)]),
    "UTF-16": (GOOD.encode("utf-16"), [("INVALID_UTF8", 1, 1)]),
    "UTF-16 without its mark": (GOOD.encode("utf-16-le"), [("INVALID_UTF8", 1, 1)]),
    "UTF-16 the other way round": (GOOD.encode("utf-16-be"), [("INVALID_UTF8", 1, 1)]),
    "a spreadsheet": (b"PK\x03\x04" + bytes(range(256)) * 2_000, [("INVALID_UTF8", 1, 1)]),
    "Latin-1": (
        checkm(row(name="bä")).encode("latin-1"),
        [("INVALID_UTF8", 6, row(name="bä").index("ä") + 1)],
    ),
    "Latin-1 after other characters": (
        checkm(row(name="öä")).encode().replace("ä".encode(), b"\xe4"),
        [("INVALID_UTF8", 6, row(name="öä").index("ä") + 1)],
    ),
    "a lost character": (
        checkm(row(name="b\ufffd")).encode(),
        [("REPLACEMENT_CHARACTER", 6, row(name="b\ufffd").index("\ufffd") + 1)],
    ),
    "NUL": (
        GOOD.replace("a.txt\n", "a\0.txt\n").encode(),
        [("CONTROL_CHARACTER", 6, len(row()) - 3)],
    ),
    "escape": (GOOD.replace("#%eof", "# \x1b[31m\n#%eof").encode(), [("CONTROL_CHARACTER", 7, 3)]),
    "a C1 control": (
        GOOD.replace("#%eof", "# \x85\n#%eof").encode(),
        [("CONTROL_CHARACTER", 7, 3)],
    ),
    "delete": (GOOD.replace("#%eof", "# \x7f\n#%eof").encode(), [("CONTROL_CHARACTER", 7, 3)]),
    "a long line": (
        checkm(row(), "# " + "x" * LINE_BYTES).encode(),
        [("LINE_TOO_LONG", 7, LINE_BYTES + 1)],
    ),
    "a line as long as may be": (checkm(row(), "# " + "x" * (LINE_BYTES - 2)).encode(), []),
    "a long line without an end": (
        GOOD.encode() + b"x" * 3 * LINE_BYTES,
        [("LINE_TOO_LONG", 8, LINE_BYTES + 1), ("AFTER_EOF", 8, 1)],
    ),
}


@pytest.mark.parametrize("case", CHARACTERS)
def test_characters_and_lengths_are_checked(case: str) -> None:
    data, places = CHARACTERS[case]

    outcome = read(data)

    assert outcome.places == places


@pytest.mark.parametrize(
    ("text", "filename", "profile"),
    [
        (GOOD, "manifest.csv", INGEST.name),
        ("\n\n" + GOOD, "manifest.jsonl", INGEST.name),
        ("fileUrl,fileName\nhttp://x/a,a\n", "manifest.csv", INGEST.name),
        ("fileUrl,fileName\nhttp://x/a,a\n", "manifest.txt", INGEST.name),
        ("fileUrl\nhttp://x/a\n", "manifest", INGEST.name),
        ('"nfo:fileName","nfo:fileUrl"\n"a","http://x/a"\n', "manifest.checkm", INGEST.name),
        ('{"url": "http://x/a"}', "manifest.txt", INGEST.name),
        ('\n {"url": "http://x/a"}', "MANIFEST.CSV", INGEST.name),
        ('{"url": "http://x/a"}', "manifest.ndjson", INGEST.name),
        ("http://x/a | | | | | a\n", "manifest.checkm", None),
    ],
)
def test_the_format_is_detected_by_the_first_characters_then_by_the_name(
    text: str, filename: str, profile: str | None
) -> None:
    outcome = read(text, filename=filename)

    assert outcome.reading.profile == profile
    assert len(outcome.entries) == 1


def test_a_file_in_no_format_gets_the_errors_of_checkm() -> None:
    outcome = read(b"\x89PNG\r\n\x1a\n\0\0\0", filename="cat.png")

    assert outcome.reading.worst_level == "error"
    assert {"INVALID_UTF8", "CONTROL_CHARACTER", "PROFILE_MISSING"} <= set(outcome.codes)


SOME_OF_EVERYTHING = [
    checkm(row(), "", row(name="b%7c"), "# ä", row("bad"), row(name="ä\tb"), row()).encode(),
    checkm(
        *(row(name=f"{n}.checkm") + " | | l;m" for n in range(40)), profile=MANIFEST_BATCH
    ).encode(),
    checkm(row(), end="#%EOF\n\nmore").replace("\n", "\r\n").encode(),
    b"\xef\xbb\xbf" + checkm(row()).replace("\n", "\r").encode(),
    b'fileUrl,title\r\nhttp://x/a.zip,"T, ""U"""\r\n\r\nhttp://x/b.txt,\xe4\r\n,\r\n',
    b'{"url": "http://x/a", "local": ["a"]}\n\n{"url": "http://x/\xc3\xa4"}\r{"a": 1}\n\0',
]


@st.composite
def cut_up(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=30)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(st.sampled_from(SOME_OF_EVERYTHING), st.data())
@settings(deadline=None)
def test_where_blocks_begin_and_end_makes_no_difference(data: bytes, choice: st.DataObject) -> None:
    whole = read(data, filename="manifest")

    blocks = choice.draw(cut_up(data))
    cut = read(blocks, filename="manifest")

    assert cut.entries == whole.entries
    assert cut.findings == whole.findings
    assert cut.reading.worst_level == whole.reading.worst_level


@pytest.mark.parametrize("data", SOME_OF_EVERYTHING)
def test_single_bytes_give_the_same_result(data: bytes) -> None:
    whole = read(data, filename="manifest")

    cut = read([data[at : at + 1] for at in range(len(data))], filename="manifest")

    assert (cut.entries, cut.findings) == (whole.entries, whole.findings)


@pytest.mark.parametrize("size", [1_000, 65_536, 98_304, 1_000_003])
def test_blocks_of_any_size_make_no_difference_to_a_large_manifest(size: int) -> None:
    rows = [row(f"https://x/{n}", "md5", MD5, str(n), f"f{n % 2_900}") for n in range(3_000)]
    rows[1_500] = "#" + "long" * 100_000
    data = checkm(*rows).encode()

    whole = list(ManifestReader([data], filename="manifest"))
    cut = list(
        ManifestReader((data[at : at + size] for at in range(0, len(data), size)), filename="m")
    )

    assert cut == whole
    assert sum(len(entries) for entries, _ in whole) == 2_899


FORMATS = ["manifest.checkm", "manifest.csv", "manifest.jsonl", "manifest"]
words = st.sampled_from(
    [
        *' |,;"{}[]:#%\n\r\t\0',
        "#%profile",
        "#%eof",
        "fileUrl",
        "http://x/a",
        "s3://b/",
        "\ud800",
        "ä",
        "\ufffd",
        "..",
        "%7c",
        "md5",
        MD5,
        "mrt:title",
        "parameters",
        "null",
        "1",
    ]
)


@given(st.binary(max_size=200), st.sampled_from(FORMATS))
@settings(deadline=None)
@example(b"", "manifest")
@example(b"\r", "manifest.csv")
@example(b"\xef\xbb\xbf", "manifest")
@example(b'{"a":"\\', "manifest")
def test_random_bytes_give_findings_and_never_an_exception(data: bytes, filename: str) -> None:
    assert read(data, filename=filename).reading.worst_level == "error"


@given(st.lists(words, max_size=60), st.sampled_from(FORMATS))
@settings(deadline=None)
def test_random_words_of_the_formats_give_findings_and_never_an_exception(
    parts: list[str], filename: str
) -> None:
    data = "".join(parts).encode(errors="surrogatepass")

    outcome = read(data, filename=filename)

    assert outcome.reading.worst_level in ("pass", "warning", "error")
    assert outcome.reading.errors + outcome.reading.warnings == len(outcome.codes)


@given(st.lists(words, max_size=30))
@settings(deadline=None)
def test_random_rows_give_findings_and_never_an_exception(parts: list[str]) -> None:
    data = checkm("".join(parts).encode(errors="replace").decode())

    assert read(data).reading.profile == INGEST.name


def test_parts_of_a_reading_are_returned_once() -> None:
    reading = ManifestReader([GOOD.encode()], filename="manifest")

    assert len(list(reading)) == 1
    assert list(reading) == []


def test_entries_come_before_the_rest_has_been_read() -> None:
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        yield checkm(end="").encode()
        for number in range(10_000):
            taken += 1
            yield row(name=f"{number}").encode() + b"\n"

    reading = iter(ManifestReader(blocks(), filename="manifest"))
    while not next(reading)[0]:
        pass

    assert 0 < taken < 5_000


def peak_of(blocks: Iterator[bytes]) -> int:
    """The peak of memory, in bytes, while `blocks` are read and findings dropped."""
    tracemalloc.start()
    for _ in ManifestReader(blocks, filename="manifest"):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_an_endless_line_does_not_fill_the_memory() -> None:
    def blocks(megabytes: int) -> Iterator[bytes]:
        yield checkm(row(), end="").encode()
        for _ in range(megabytes):
            yield b"x" * 1_000_000

    assert peak_of(blocks(30)) < peak_of(blocks(1)) + 1_000_000


def test_only_the_names_of_earlier_lines_are_kept() -> None:
    def blocks(count: int) -> Iterator[bytes]:
        yield checkm(end="").encode()
        for start in range(0, count, 1_000):
            numbers = range(start, start + 1_000)
            yield "".join(row(name=f"{n * 7_919 % 99_991}") + "\n" for n in numbers).encode()

    few, many = peak_of(blocks(5_000)), peak_of(blocks(15_000))

    assert (many - few) / 10_000 <= 40


def test_unbounded_findings_are_not_kept_in_memory() -> None:
    def blocks(count: int) -> Iterator[bytes]:
        yield checkm(end="").encode()
        for _ in range(count):
            yield b"x\n" * 1_000

    assert peak_of(blocks(2)) < peak_of(blocks(1)) + 100_000
