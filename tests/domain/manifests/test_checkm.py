from collections import Counter

import pytest

from jobyard.domain.manifests.profiles import (
    CONTAINER_BATCH,
    INGEST,
    MANIFEST_BATCH,
    PROFILE_BASE,
    SINGLE_FILE_BATCH,
    Profile,
)
from jobyard.domain.manifests.reader import ManifestReader
from tests.domain.manifests.manifest_texts import (
    EVERY_PROFILE,
    MD5,
    NAMES,
    SHA_256,
    SHA_512,
    checkm,
    read,
    row,
)

GOOD = checkm(row())
CHECKM, PROFILE, MRT, NFO, FIELDS = GOOD.splitlines()[:5]


@pytest.mark.parametrize("profile", EVERY_PROFILE, ids=lambda profile: profile.name)
def test_a_manifest_of_every_profile_passes_without_a_remark(profile: Profile) -> None:
    full = row("https://example.org/a", "sha-256", SHA_256, "12", NAMES[profile])
    more = " | image/png" if profile is INGEST else " | ark:/99999/fk4 | l1; l2 | C | T | 1987"

    outcome = read(checkm(full + more, profile=profile))

    assert outcome.findings == []
    assert outcome.reading.worst_level == "pass"
    assert outcome.reading.profile == profile.name
    assert outcome.reading.is_one_object is (profile is INGEST)
    (entry,) = outcome.entries
    assert entry[:7] == (
        6,
        {"mrt-batch-manifest": "manifest", "mrt-container-batch-manifest": "container"}.get(
            profile.name, "file"
        ),
        "https://example.org/a",
        NAMES[profile],
        "sha-256",
        SHA_256,
        12,
    )
    described = ("", (), "", "", "")
    if profile is not INGEST:
        described = ("ark:/99999/fk4", ("l1", "l2"), "C", "T", "1987")
    assert entry[7:12] == described


def test_the_rows_of_an_ingest_manifest_are_one_object() -> None:
    reading = read(checkm(row(name="a"), row(name="b"), row(name="c"))).reading

    assert (reading.job_count, reading.row_count) == (1, 3)


@pytest.mark.parametrize("profile", EVERY_PROFILE[1:], ids=lambda profile: profile.name)
def test_every_row_of_a_batch_manifest_is_an_object(profile: Profile) -> None:
    names = [f"{number}{NAMES[profile]}" for number in range(3)]

    reading = read(checkm(*(row(name=name) for name in names), profile=profile)).reading

    assert (reading.job_count, reading.row_count) == (3, 3)


def test_after_an_error_no_object_is_created() -> None:
    outcome = read(checkm(row(name="a"), row(url="ftp://example.org/b", name="b")))

    assert (outcome.reading.worst_level, outcome.reading.job_count) == ("error", 0)
    assert outcome.reading.row_count == 2


HEADERS = {
    "all there": (GOOD, []),
    "no checkm line": (GOOD.removeprefix(CHECKM + "\n"), [("CHECKM_LINE_MISSING", 1, 1)]),
    "another version": (GOOD.replace("0.7", "0.8"), [("CHECKM_LINE_MISSING", 1, 1)]),
    "no profile": (GOOD.replace(PROFILE + "\n", ""), [("PROFILE_MISSING", 5, 1)]),
    "profile of another base": (
        GOOD.replace(PROFILE_BASE, "http://example.org/"),
        [("PROFILE_URL_BAD", 2, 13)],
    ),
    "profile without a base": (GOOD.replace(PROFILE_BASE, ""), [("PROFILE_URL_BAD", 2, 13)]),
    "profile without a value": (GOOD.replace(PROFILE, "#%profile"), [("PROFILE_URL_BAD", 2, 10)]),
    "profile with two values": (
        GOOD.replace(PROFILE, PROFILE + " | x"),
        [("PROFILE_URL_BAD", 2, 13)],
    ),
    "unknown profile": (
        GOOD.replace("mrt-ingest", "mrt-digest"),
        [("PROFILE_UNKNOWN", 2, 13 + len(PROFILE_BASE))],
    ),
    "profile twice": (
        GOOD.replace(PROFILE, f"{PROFILE}\n{PROFILE}"),
        [("HEADER_REPEATED", 3, 1)],
    ),
    "no mrt prefix": (GOOD.replace(MRT + "\n", ""), [("PREFIX_MISSING", 5, 1)]),
    "no nfo prefix": (GOOD.replace(NFO + "\n", ""), [("PREFIX_MISSING", 5, 1)]),
    "prefix of another URI": (GOOD.replace("terms#", "words#"), [("PREFIX_URI", 3, 19)]),
    "prefix without URI": (
        GOOD.replace(MRT, "#%prefix | mrt:"),
        [("PREFIX_MALFORMED", 3, 12), ("PREFIX_MISSING", 6, 1)],
    ),
    "prefix without anything": (
        GOOD.replace(MRT, "#%prefix"),
        [("PREFIX_MALFORMED", 3, 9), ("PREFIX_MISSING", 6, 1)],
    ),
    "prefix without colon": (
        GOOD.replace("| mrt: |", "| mrt |"),
        [("PREFIX_MALFORMED", 3, 12), ("PREFIX_MISSING", 6, 1)],
    ),
    "prefix twice": (GOOD.replace(MRT, f"{MRT}\n{MRT}"), [("HEADER_REPEATED", 4, 1)]),
    "a prefix of one's own": (GOOD.replace(MRT, f"{MRT}\n#%prefix | dc: | http://x/"), []),
    "no fields": (GOOD.replace(FIELDS + "\n", ""), [("FIELDS_MISSING", 5, 1)]),
    "fields twice": (GOOD.replace(FIELDS, f"{FIELDS}\n{FIELDS}"), [("HEADER_REPEATED", 6, 1)]),
    "required column not named": (
        GOOD.replace("nfo:hashValue | ", ""),
        [("FIELD_MISSING", 5, 1)],
    ),
    "last column not named": (GOOD.replace(" | mrt:mimeType", ""), []),
    "column of another profile": (
        GOOD.replace("mrt:mimeType", "mrt:title"),
        [("FIELD_UNKNOWN", 5, 115)],
    ),
    "more columns than the profile has": (
        GOOD.replace("mrt:mimeType", "mrt:mimeType | mrt:shelf"),
        [("FIELD_UNKNOWN", 5, 130)],
    ),
    "column named twice": (
        GOOD.replace("mrt:mimeType", "mrt:mimeType | nfo:fileUrl"),
        [("FIELD_REPEATED", 5, 130)],
    ),
    "columns in another order": (
        GOOD.replace("nfo:fileUrl | nfo:hashAlgorithm", "nfo:hashAlgorithm | nfo:fileUrl"),
        [("FIELD_ORDER", 5, 12)],
    ),
    "columns in another order, in the rows too": (
        GOOD.replace("nfo:fileUrl | nfo:hashAlgorithm", "nfo:hashAlgorithm | nfo:fileUrl").replace(
            row(), "md5 | https://example.org/a.txt | " + MD5
        ),
        [("FIELD_ORDER", 5, 12)],
    ),
    "a column misspelt": (GOOD.replace("hashValue", "hashVale"), [("FIELD_UNKNOWN", 5, 46)]),
    "several columns misspelt": (
        GOOD.replace("| nfo:f", "| nfo:xf"),
        [("FIELD_UNKNOWN", 5, 12)],
    ),
    "a bar at the end of the columns": (GOOD.replace("mrt:mimeType", "mrt:mimeType |"), []),
    "headers without bars": (
        "".join(line.replace(" |", "") + "\n" for line in (CHECKM, PROFILE, MRT, NFO, FIELDS))
        + f"{row()}\n#%EOF\n",
        [],
    ),
    "the URI that Merritt's own writer gives": (
        GOOD.replace("http://merritt.cdlib.org/terms#", "http://uc3.cdlib.org/ontology/mom#"),
        [],
    ),
    "columns in another order and no profile": (
        GOOD.replace(PROFILE + "\n", "").replace(
            "nfo:fileUrl | nfo:hashAlgorithm", "nfo:hashAlgorithm | nfo:fileUrl"
        ),
        [("PROFILE_MISSING", 5, 1)],
    ),
    "columns in another case and without prefix": (
        GOOD.replace("nfo:fileUrl", "FILEURL").replace("mrt:mimeType", "nfo:MimeType"),
        [],
    ),
    "no end": (GOOD.removesuffix("#%eof\n"), [("EOF_MISSING", 6, 0)]),
    "end without a line end": (GOOD.removesuffix("\n"), [("EOF_NO_NEWLINE", 7, 6)]),
    "a blank line after the end": (GOOD + "\n", [("AFTER_EOF", 8, 1)]),
    "rows after the end": (GOOD + row() + "\n" + row() + "\n", [("AFTER_EOF", 8, 1)]),
    "a comment after the end": (GOOD + "# thanks", [("AFTER_EOF", 8, 1)]),
    "a word that only begins like the end": (
        GOOD.replace("#%eof", "#%eof-not"),
        [("EOF_MISSING", 7, 0)],
    ),
    "no rows": (checkm(), [("NO_ROWS", 6, 0)]),
    "no rows and no end": (checkm(end=""), [("EOF_MISSING", 5, 0), ("NO_ROWS", 5, 0)]),
    "nothing": ("", [("NO_ROWS", 1, 0)]),
    "nothing but blank lines": ("\n \n\n", [("NO_ROWS", 3, 0)]),
    "only the end": (
        "#%eof\n",
        [
            ("CHECKM_LINE_MISSING", 1, 1),
            ("PROFILE_MISSING", 1, 1),
            ("PREFIX_MISSING", 1, 1),
            ("PREFIX_MISSING", 1, 1),
            ("FIELDS_MISSING", 1, 1),
            ("NO_ROWS", 1, 0),
        ],
    ),
    "a word nobody knows": (GOOD.replace(CHECKM, f"{CHECKM}\n#%colour | red"), []),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_and_end_are_checked(case: str) -> None:
    text, places = HEADERS[case]

    outcome = read(text)

    assert outcome.places == places


A = "https://example.org/a"
# A row, and for each finding its code and the text at its column, or the column.
ROWS: dict[str, tuple[str, list[tuple[str, str | int]]]] = {
    "no URL": (row(url=""), [("URL_MISSING", 1)]),
    "URL of another scheme": (row("ftp://example.org/a.txt"), [("URL_BAD", "ftp")]),
    "URL without a scheme": (row("example.org/a.txt"), [("URL_BAD", "example")]),
    "URL without a host": (row("https:///a.txt"), [("URL_BAD", "https")]),
    "URL with a blank": (row("https://example.org/a b"), [("URL_BAD", "https")]),
    "URL with a port beyond": (row("https://example.org:65536/a"), [("URL_BAD", "https")]),
    "URL with a password": (row("https://me:pw@example.org/a"), [("URL_BAD", "https")]),
    "URL with a host of other letters": (row("https://bücher.example/"), [("URL_BAD", "https")]),
    "URL of Lambda's own port": (row("http://example.org:9001/a"), [("URL_BAD", "http")]),
    "URL with half an IPv6 address": (row("https://[::1/a"), [("URL_BAD", "https")]),
    "URL with a host of signs": (row("https://-/a"), [("URL_BAD", "https")]),
    "S3 URL without a key": (row("s3://bucket/"), [("URL_BAD", "s3")]),
    "S3 URL without a bucket": (row("s3:///key"), [("URL_BAD", "s3")]),
    "algorithm nobody knows": (row(A, "sha-1", MD5), [("ALGORITHM_UNKNOWN", "sha-1")]),
    "digest without algorithm": (row(A, "", MD5), [("ALGORITHM_MISSING", len(A) + 3)]),
    "algorithm without digest": (row(A, "md5"), [("DIGEST_MISSING", len(A) + 9)]),
    "algorithm at the end": (f"{A} | md5", [("DIGEST_MISSING", "md5"), ("NAME_FROM_URL", 1)]),
    "md5 too short": (row(A, "md5", MD5[:-1]), [("DIGEST_BAD", MD5[:-1])]),
    "md5 not hex": (row(A, "md5", "g" * 32), [("DIGEST_BAD", "g" * 32)]),
    "sha-256 of md5's length": (row(A, "sha-256", MD5), [("DIGEST_BAD", MD5)]),
    "sha-512 too long": (row(A, "sha-512", SHA_512 + "0"), [("DIGEST_BAD", SHA_512)]),
    "digest with blanks": (row(A, "md5", "00 " * 10 + "00"), [("DIGEST_BAD", len(A) + 10)]),
    "size not a number": (row(A, size="1k"), [("SIZE_BAD", "1k")]),
    "negative size": (row(A, size="-1"), [("SIZE_BAD", "-1")]),
    "size in other digits": (row(A, size="\u0661"), [("SIZE_BAD", "\u0661")]),
    "size beyond an exabyte": (row(A, size="1" * 19), [("SIZE_BAD", "1" * 19)]),
    "absolute name": (row(A, name="/etc/x"), [("NAME_BAD", "/etc")]),
    "absolute name of Windows": (row(A, name="C:\\a"), [("NAME_BAD", "C:")]),
    "share of Windows": (row(A, name="\\\\server\\a"), [("NAME_BAD", "\\\\")]),
    "name that climbs": (row(A, name="../x"), [("NAME_BAD", "../")]),
    "name that climbs later": (row(A, name="x/../../b"), [("NAME_BAD", "x/")]),
    "name that climbs with backslashes": (row(A, name="x\\..\\b"), [("NAME_BAD", "x")]),
    "name with an empty part": (row(A, name="x//b"), [("NAME_BAD", "x/")]),
    "name with a dot for a part": (row(A, name="./x"), [("NAME_BAD", "./")]),
    "name of a folder": (row(A, name="x/"), [("NAME_BAD", "x/")]),
    "no name and none in the URL": (
        "https://example.org/ | | | | |",
        [("NAME_MISSING", len("https://example.org/ | | | | |") + 1)],
    ),
    "too many fields": (row(A, "", "", "", "a", "", "x"), [("TOO_MANY_FIELDS", "x")]),
    "too many fields, an empty one first": (
        row(A, "", "", "", "a", "", "", "x"),
        [("TOO_MANY_FIELDS", "x")],
    ),
    "a tab in a name": (row(A, name="x\tb"), [("CONTROL_CHARACTER", "x")]),
    "several at once": (
        row("ftp://x", "sha-1", "x", "1x", "../x"),
        [("URL_BAD", 1), ("ALGORITHM_UNKNOWN", "sha"), ("SIZE_BAD", "1x"), ("NAME_BAD", "..")],
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_every_field_of_a_row_is_checked(case: str) -> None:
    bad, expected = ROWS[case]
    places = [(code, 7, at if isinstance(at, int) else bad.rindex(at) + 1) for code, at in expected]

    outcome = read(checkm(row(name="before"), bad, row(name="after")))

    assert outcome.places == places
    assert [entry.name for entry in outcome.entries] == ["before", "after"]


GOOD_ROWS = {
    "upper-case algorithm": row("https://example.org/a", "SHA-256", SHA_256),
    "an algorithm without a dash": row("https://example.org/a", "SHA256", SHA_256),
    "an algorithm with other dashes": row("https://example.org/a", "sha_512", SHA_512),
    "md5 with a dash": row("https://example.org/a", "MD-5", MD5),
    "upper-case digest": row("https://example.org/a", "md5", MD5.upper()),
    "sha-512": row("https://example.org/a", "sha-512", SHA_512),
    "size nought": row("https://example.org/a", "", "", "0"),
    "upper-case scheme": row("HTTPS://EXAMPLE.ORG/a"),
    "no path but a name": row("https://example.org"),
    "a query": row("https://example.org/get?id=3&x=%20"),
    "another alphabet": row("https://xn--bcher-kva.example/ä", name="ä/ö"),
    "S3": row("s3://bucket/some key.txt"),
    "a hidden name": row(name=".htaccess"),
    "a name with dots": row(name="a...b/..c/d..e"),
    "no blanks at all": row().replace(" ", ""),
    "many blanks": row().replace(" ", "   "),
    "tabs around fields": row().replace(" ", "\t"),
}


@pytest.mark.parametrize("case", GOOD_ROWS)
def test_a_row_may_be_written_in_many_ways(case: str) -> None:
    outcome = read(checkm(GOOD_ROWS[case]))

    assert outcome.codes == []
    assert len(outcome.entries) == 1


def test_algorithm_and_digest_come_in_lower_case() -> None:
    (entry,) = read(checkm(row("https://x/a", "MD5", MD5.upper()))).entries

    assert (entry.algorithm, entry.digest) == ("md5", MD5)


@pytest.mark.parametrize(
    ("primary", "codes"),
    [
        ("ark:/99999/fk4", []),
        ("ark:/1/x", []),
        ("ark:/99999/4fk", []),
        ("ark:99999/fk4", []),
        ("ark:/99999/fk4/b.v2", []),
        ("ark:/99999/", ["PRIMARY_BAD"]),
        ("ark:/99999/fk4 b", ["PRIMARY_BAD"]),
        ("doi:10.1/x", ["PRIMARY_BAD"]),
    ],
)
def test_a_primary_identifier_is_an_ark(primary: str, codes: list[str]) -> None:
    text = checkm(row(name="a.txt") + f" | {primary}", profile=SINGLE_FILE_BATCH)

    assert read(text).codes == codes


def test_an_entry_has_the_one_spelling_of_its_ark() -> None:
    spellings = ("ark:/99999/fk-4", "ark:99999/fk4", "ARK:/99999/-f-k4", "ark:/99999/fk4")
    rows = [row(name=f"{n}") + f" | {each}" for n, each in enumerate(spellings)]

    entries = read(checkm(*rows, profile=SINGLE_FILE_BATCH)).entries

    assert [entry.primary for entry in entries] == ["ark:/99999/fk4"] * 4


@pytest.mark.parametrize(
    ("text", "identifiers"),
    [
        ("", ()),
        ("one", ("one",)),
        ("one; two;three", ("one", "two", "three")),
        ("; one ;; ", ("one",)),
        ("a%scb; c%SCd", ("a;b", "c;d")),
        ("a%7Cb", ("a|b",)),
    ],
)
def test_local_identifiers_stand_between_semicolons(
    text: str, identifiers: tuple[str, ...]
) -> None:
    (entry,) = read(checkm(row() + f" |  | {text}", profile=SINGLE_FILE_BATCH)).entries

    assert entry.local == identifiers


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("x" * 1024, []),
        ("x" * 1025, ["LOCAL_BAD"]),
        ("é" * 513, ["LOCAL_BAD"]),
        (";".join(map(str, range(100))), []),
        (";".join(map(str, range(101))), ["LOCAL_BAD"]),
    ],
)
def test_local_identifiers_are_few_enough_and_short_enough_to_be_kept(
    text: str, codes: list[str]
) -> None:
    assert read(checkm(row() + f" |  | {text}", profile=SINGLE_FILE_BATCH)).codes == codes


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("a%7cb%7C.txt", "a|b|.txt"),
        ("%20%20a%20b%20", "  a%20b "),
        ("100%", "100%"),
        ("a%2fb", "a%2fb"),
    ],
)
def test_bars_and_blanks_at_the_ends_of_a_name_are_escaped(field: str, name: str) -> None:
    (entry,) = read(checkm(row(name=field))).entries

    assert entry.name == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/b%20c.txt?d=e/f", "b c.txt"),
        ("s3://bucket/a/b%20c d.txt", "b%20c d.txt"),
        ("https://example.org/%e4", None),
        ("https://example.org/a%00", None),
        ("https://example.org/a/", None),
        ("s3://bucket/a/", None),
    ],
)
def test_a_blank_name_is_the_last_part_of_the_urls_path(url: str, name: str | None) -> None:
    outcome = read(checkm(row(url, name="")))

    assert outcome.codes == ["NAME_MISSING" if name is None else "NAME_FROM_URL"]
    assert [entry.name for entry in outcome.entries] == ([] if name is None else [name])


def test_escapes_of_a_url_are_left_alone() -> None:
    (entry,) = read(checkm(row("https://example.org/a%7cb%20"))).entries

    assert entry.url == "https://example.org/a%7cb%20"


ENDINGS = {
    (MANIFEST_BATCH, "a.checkm"): [],
    (MANIFEST_BATCH, "a.CHECKM"): [],
    (MANIFEST_BATCH, "a.txt"): ["NAME_EXTENSION"],
    (MANIFEST_BATCH, "a.zip"): ["NAME_EXTENSION"],
    (CONTAINER_BATCH, "a.zip"): [],
    (CONTAINER_BATCH, "a.TAR"): [],
    (CONTAINER_BATCH, "a.tar.gz"): [],
    (CONTAINER_BATCH, "a.bz2"): [],
    (CONTAINER_BATCH, "a.tgz"): ["NAME_EXTENSION"],
    (CONTAINER_BATCH, "a.gz"): ["NAME_EXTENSION"],
    (CONTAINER_BATCH, "a.checkm"): ["NAME_EXTENSION"],
    (SINGLE_FILE_BATCH, "a.txt"): [],
    (SINGLE_FILE_BATCH, "a.tgz"): [],
    (SINGLE_FILE_BATCH, "a.zip"): ["CONTAINER_AS_FILE"],
    (SINGLE_FILE_BATCH, "a.checkm"): ["NAME_EXTENSION"],
    (INGEST, "a.txt"): [],
    (INGEST, "a.zip"): [],
    (INGEST, "a.checkm"): [],
}


@pytest.mark.parametrize(
    ("profile", "name"), ENDINGS, ids=lambda value: getattr(value, "name", value)
)
def test_a_name_has_the_suffix_that_its_profile_requires(profile: Profile, name: str) -> None:
    outcome = read(checkm(row(name=name), profile=profile))

    assert outcome.codes == ENDINGS[profile, name]


def test_a_repeated_name_is_reported_with_its_first_line() -> None:
    outcome = read(checkm(row(name="a/x"), row(name="b"), row(name="A/x"), row(name="a/x")))

    (finding,) = [each for each in outcome.findings if each.level == "error"]
    place = row(name="a/x").index("a/x") + 1
    assert (finding.code, finding.line, finding.column) == ("NAME_REPEATED", 9, place)
    assert "line 6" in finding.message


def test_a_name_repeated_far_apart_is_found() -> None:
    rows = [row(name=f"file-{number}") for number in range(5_000)]

    outcome = read(checkm(*rows, row(name="file-17"), row("https://odd host/", name="file-4999")))

    repeated = [each for each in outcome.findings if each.code == "NAME_REPEATED"]
    assert [(each.line, each.message.split("line ")[1].split(":")[0]) for each in repeated] == [
        (5_006, "23"),
        (5_007, "5005"),
    ]


def test_the_profile_of_the_submission_has_to_be_the_manifests() -> None:
    assert read(GOOD, profile=INGEST.name).codes == []
    assert read(GOOD, profile=MANIFEST_BATCH.name).codes == ["PROFILE_DIFFERS"]


def test_a_profile_of_the_submission_that_does_not_exist_is_an_error() -> None:
    assert read(GOOD, profile="mrt-no-manifest").codes == ["PROFILE_UNKNOWN"]


class TestQuirksOfThePublishedValidatorAreNotCopied:
    """Domain digest 1.e.5, by number."""

    @pytest.mark.parametrize("ending", ["\r\n", "\r"])
    def test_1_any_line_end_will_do(self, ending: str) -> None:
        outcome = read(GOOD.replace("\n", ending))

        assert outcome.findings == read(GOOD).findings
        assert outcome.entries == read(GOOD).entries

    @pytest.mark.parametrize("short", range(1, 8))
    def test_2_short_rows_are_the_same_wherever_they_stand(self, short: int) -> None:
        rows = [row(name=f"{number}.txt") for number in range(8)]
        rows[short] = f"https://example.org/{short}"

        outcome = read(checkm(*rows))

        assert outcome.codes == ["NAME_FROM_URL"]
        assert len(outcome.entries) == 8

    def test_3_a_digest_is_hex_in_any_case(self) -> None:
        assert read(checkm(row("https://x/a", "md5", MD5.upper()))).codes == []
        assert read(checkm(row("https://x/a", "md5", "z" * 32))).codes == ["DIGEST_BAD"]

    def test_4_a_blank_name_is_taken_from_the_url_and_then_checked(self) -> None:
        nameless = row("https://example.org/dir/my%20box.zip?x=1", name="")

        outcome = read(checkm(nameless, profile=CONTAINER_BATCH))
        assert outcome.codes == ["NAME_FROM_URL"]
        assert outcome.entries[0].name == "my box.zip"

        outcome = read(checkm(row("https://example.org/a.txt", name=""), profile=CONTAINER_BATCH))
        assert outcome.codes == ["NAME_FROM_URL", "NAME_EXTENSION"]

        outcome = read(checkm(row("https://example.org/%2e%2e", name="")))
        assert outcome.codes == ["NAME_FROM_URL", "NAME_BAD"]

    def test_5_a_comment_is_skipped(self) -> None:
        outcome = read(checkm("# a comment", row(name="a"), "  # another", row(name="b"), ""))

        assert outcome.codes == []
        assert [entry.line for entry in outcome.entries] == [7, 9]

    @pytest.mark.parametrize("bar", ["|", "  |  ", "\t|\t", "| "])
    def test_6_headers_may_have_any_blanks_around_bars(self, bar: str) -> None:
        outcome = read(GOOD.replace(" | ", bar))

        assert outcome.codes == []
        assert outcome.reading.profile == INGEST.name

    def test_7_headers_may_stand_in_any_order(self) -> None:
        text = GOOD.replace(f"{PROFILE}\n{MRT}\n", f"{MRT}\n{PROFILE}\n")

        outcome = read(text)

        assert outcome.places == [("HEADER_ORDER", 3, 1)]
        assert outcome.reading.profile == INGEST.name

    @pytest.mark.parametrize("profile", EVERY_PROFILE, ids=lambda profile: profile.name)
    def test_8_a_manifest_without_rows_is_an_error(self, profile: Profile) -> None:
        assert read(checkm("# nothing", "", profile=profile)).codes == ["NO_ROWS"]

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.international/a",
            "https://example.org/a,b(c)/d",
            "https://example.org/~a/b;c=1/@x!$&'*+=",
        ],
    )
    def test_9_any_url_with_a_host_will_do(self, url: str) -> None:
        assert read(checkm(row(url))).codes == []

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8000/a", "http://localhost/a", "https://[::1]/a"]
    )
    def test_9_a_url_of_a_private_host_passes_with_a_warning(self, url: str) -> None:
        outcome = read(checkm(row(url)))

        assert outcome.places == [("URL_DOUBTFUL", 6, 1)]
        assert [entry.url for entry in outcome.entries] == [url]

    @pytest.mark.parametrize("end", ["#%EOF\n", "#%Eof\n", "#%eof  \n", "#% eof\n"])
    def test_10_the_end_may_be_in_any_case(self, end: str) -> None:
        assert read(checkm(row(), end=end)).codes == []

    def test_11_columns_is_the_old_word_for_fields(self) -> None:
        assert read(GOOD.replace("#%fields", "#%columns")).places == [("FIELDS_OLD_WORD", 5, 1)]

    def test_12_omitted_trailing_columns_get_one_remark(self) -> None:
        outcome = read(checkm(*(row(name=f"{number}") for number in range(9))))

        assert [(each.level, each.code, each.line) for each in outcome.findings] == [
            ("information", "FIELDS_PADDED", 6)
        ]
        assert outcome.reading.worst_level == "pass"

    @pytest.mark.parametrize(
        "profile_line", ["", "#%profile | http://example.org/x\n", f"#%profile | {PROFILE_BASE}x\n"]
    )
    def test_13_without_a_profile_only_that_is_reported(self, profile_line: str) -> None:
        text = checkm(
            *(row(name=f"{number}") + " | x" * number for number in range(1, 9)),
            profile=MANIFEST_BATCH,
        ).replace(checkm(profile=MANIFEST_BATCH).splitlines()[1] + "\n", profile_line)

        outcome = read(text)

        assert Counter(code.split("_")[0] for code in outcome.codes) == {"PROFILE": 1}


def test_without_a_profile_the_rest_of_a_row_is_still_checked() -> None:
    text = checkm(row("ftp://x/", "md5", "x", "x", "a"), row(name="a"))

    outcome = read(text.replace(PROFILE + "\n", ""))

    assert outcome.codes == [
        "PROFILE_MISSING",
        "URL_BAD",
        "DIGEST_BAD",
        "SIZE_BAD",
        "NAME_REPEATED",
    ]


def test_an_unsupported_algorithm_is_reported_with_the_supported_ones() -> None:
    (finding,) = [
        each
        for each in read(checkm(row(A, "sha1", "0" * 40))).findings
        if each.level != "information"
    ]

    assert finding.code == "ALGORITHM_UNKNOWN"
    assert '"sha1" is not supported: md5, sha-256, sha-512 are allowed' in finding.message


def test_a_bar_at_the_end_of_every_row_is_remarked_on_once() -> None:
    rows = [row(name=f"{number}") + " | text/plain | " for number in range(40)]

    outcome = read(checkm(*rows))

    assert [(each.code, each.line) for each in outcome.findings] == [("FIELD_AFTER_LAST", 6)]
    assert [entry.name for entry in outcome.entries] == [f"{number}" for number in range(40)]


def test_lines_of_bars_alone_are_blank_lines() -> None:
    outcome = read(checkm(row(), " | | | | ", "|||||||||||||||", row(name="b")))

    assert outcome.codes == []
    assert [entry.name for entry in outcome.entries] == ["a.txt", "b"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://single-label/a", "without a dot"),
        ("http://files.example.org:8181/a", "port 8181"),
        ("https://10.1.2.3/a", "not public"),
    ],
)
def test_a_host_that_is_probably_unreachable_gets_one_remark(url: str, word: str) -> None:
    rows = [row(f"{url}{number}", name=f"{number}") for number in range(2_000)]

    outcome = read(checkm(*rows, row(f"{url}#1", name="x")))

    warnings = [each for each in outcome.findings if each.level == "warning"]
    assert [(each.code, each.line, each.column) for each in warnings] == [
        ("URL_DOUBTFUL", 6, 1),
        ("URL_DOUBTFUL", 2_006, 1),
    ]
    assert word in warnings[0].message
    assert "%23" in warnings[1].message
    assert len(outcome.entries) == 2_001


def test_a_listed_host_gets_no_remark() -> None:
    text = checkm(row("http://repository:8181/a")).encode()
    reading = ManifestReader([text], filename="m.checkm", allowed_hosts={"repository:8181"})

    assert [found.level for _, each in reading for found in each] == ["information"]


SECRET = "reader:s3cret-word@"


@pytest.mark.parametrize(
    "text",
    [
        checkm(row(f"https://{SECRET}example.org/a.txt")),
        checkm(row(f"https://{SECRET}example.org/a", name="")),
        checkm(row(f"https://{SECRET}exa mple.org/a")),
        checkm(row(name=f"https://{SECRET}example.org//a")),
        checkm(row(f"https://reader:s3cret-word/{'x' * 90}@example.org/a")),
        checkm(f"{row()} | | https://{SECRET}example.org/a"),
        f"https://{SECRET}example.org/a | | | | | a\n",
        f"https://{SECRET}example.org/a,a\n",
        f"fileUrl,https://{SECRET}example.org/a\nhttp://example.org,\n",
        f'{{"url": "https://{SECRET}example.org/a", "name": 1}}',
        f'{{"https://{SECRET}example.org/a": 1}}',
        f'{{"url": ["https://{SECRET}example.org/a"], "name": "b"}}',
        f'{{"url": "http://x.example/", "name": "b", "size": "https://{SECRET}example.org/a"}}',
        checkm(row()).replace(PROFILE_BASE, f"https://{SECRET}example.org/"),
    ],
)
def test_no_finding_contains_the_password_of_a_url(text: str) -> None:
    outcome = read(text, filename="manifest.csv" if text.startswith(("https", "file")) else "m")

    assert outcome.reading.worst_level == "error"
    assert all("s3cret" not in each.message for each in outcome.findings)
