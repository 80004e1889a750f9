import pytest

from jobyard.domain.manifests.profiles import (
    CONTAINER_BATCH,
    INGEST,
    MANIFEST_BATCH,
    SINGLE_FILE_BATCH,
)
from tests.domain.manifests.manifest_texts import MD5, SHA_256, Outcome, read


def read_csv(text: str, profile: str | None = None) -> Outcome:
    return read(text, filename="manifest.csv", profile=profile)


def listing(*names: str) -> str:
    """A CSV manifest of objects with these names."""
    return "fileUrl,fileName,title\n" + "".join(f"http://x/{n},{n},T\n" for n in names)


def test_the_header_chooses_the_columns_in_any_order() -> None:
    text = (
        "title,nfo:FILENAME,hashValue,mrt:localIdentifier,fileUrl,hashAlgorithm,mimeType,fileSize\n"
        f'"Letters, part ""one""",a/b.txt,{SHA_256},l1;l2,https://x/a,sha-256,text/plain,12\n'
    )

    outcome = read_csv(text)

    assert outcome.findings == []
    (entry,) = outcome.entries
    assert entry.title == 'Letters, part "one"'
    assert (entry.line, entry.url, entry.name) == (2, "https://x/a", "a/b.txt")
    assert (entry.algorithm, entry.digest, entry.size) == ("sha-256", SHA_256, 12)
    assert entry.local == ("l1", "l2")


@pytest.mark.parametrize(
    ("names", "profile", "kinds", "codes"),
    [
        (["a.checkm", "b.CHECKM"], MANIFEST_BATCH, ["manifest", "manifest"], []),
        (["a.zip", "b.tar.gz", "c.BZ2"], CONTAINER_BATCH, ["container"] * 3, []),
        (["a.txt", "b.tgz"], SINGLE_FILE_BATCH, ["file", "file"], []),
        (["a.txt", "b.zip"], SINGLE_FILE_BATCH, ["file", "file"], ["CONTAINER_AS_FILE"]),
        (
            ["a.zip", "b.tar", "c.txt", "d.zip"],
            SINGLE_FILE_BATCH,
            ["file"] * 4,
            ["CONTAINER_AS_FILE"] * 3,
        ),
        (["a.txt", "b.checkm"], None, None, ["PROFILE_MIXED"]),
        (["a.checkm", "b.txt", "c.zip"], None, None, ["PROFILE_MIXED"] * 2),
        (["a.zip", "b.checkm"], None, None, ["PROFILE_MIXED"]),
    ],
)
def test_the_names_of_objects_decide_the_profile(
    names: list[str], profile: object, kinds: list[str] | None, codes: list[str]
) -> None:
    outcome = read_csv(listing(*names))

    assert outcome.codes == codes
    if kinds is None:
        assert outcome.reading.worst_level == "error"
    else:
        assert outcome.reading.profile == getattr(profile, "name", None)
        assert [entry.kind for entry in outcome.entries] == kinds
        assert [entry.name for entry in outcome.entries] == names


def test_many_containers_are_recognized_before_the_end_is_read() -> None:
    containers = [f"{number:0100d}.zip" for number in range(5_000)]

    outcome = read_csv(listing(*containers))
    assert {entry.kind for entry in outcome.entries} == {"container"}
    assert [entry.name for entry in outcome.entries] == containers

    late = read_csv(listing(*containers, "a.txt"))
    assert late.codes == ["PROFILE_MIXED"]


@pytest.mark.parametrize("column", ["primaryIdentifier", "localIdentifier", "creator", "title"])
def test_a_column_that_describes_objects_makes_a_batch_of_it(column: str) -> None:
    reading = read_csv(f"fileUrl,{column}\nhttp://x/a,\nhttp://x/b,\n").reading

    assert (reading.profile, reading.job_count) == (SINGLE_FILE_BATCH.name, 2)


@pytest.mark.parametrize("columns", ["fileUrl,fileName", "fileUrl,fileName,mimeType,date"])
def test_without_such_a_column_the_rows_are_files_of_one_object(columns: str) -> None:
    reading = read_csv(f"{columns}\nhttp://x/a,a.zip\nhttp://x/b,b.checkm\n").reading

    assert (reading.profile, reading.job_count, reading.row_count) == (INGEST.name, 1, 2)
    assert reading.is_one_object


def test_a_profile_that_is_given_is_not_inferred() -> None:
    assert read_csv(listing("a.zip"), SINGLE_FILE_BATCH.name).codes == ["CONTAINER_AS_FILE"]
    assert read_csv(listing("a.txt"), MANIFEST_BATCH.name).codes == ["NAME_EXTENSION"]
    assert read_csv("fileUrl\nhttp://x/a\n", SINGLE_FILE_BATCH.name).codes == ["NAME_FROM_URL"]


BAD = {
    "nothing": ("", [("NO_ROWS", 1, 0)]),
    "only a header": ("fileUrl,fileName\n", [("NO_ROWS", 1, 0)]),
    "no fileUrl": ("fileName,title\na,b\n", [("FIELD_MISSING", 1, 1)]),
    "no header": (
        "http://x/a,a\n",
        [("FIELD_MISSING", 1, 1)],
    ),
    "unknown column": (
        "fileUrl,shelf\nhttp://x/a,\n",
        [("FIELD_UNKNOWN", 1, 9), ("NAME_FROM_URL", 2, 1)],
    ),
    "column twice": (
        "fileUrl, url\nhttp://x/a,\n",
        [("FIELD_REPEATED", 1, 10), ("NAME_FROM_URL", 2, 1)],
    ),
    "too many fields": ("fileUrl,fileName\nhttp://x/a,a,b\n", [("TOO_MANY_FIELDS", 2, 14)]),
    "commas at the end of a row": ("fileUrl,fileName\nhttp://x/a,a,,,\n", []),
    "a value under no heading": (
        "fileUrl,fileName,,\nhttp://x/a,a,,\nhttp://x/b,b,x,\nhttp://x/c,c,y,\n",
        [("FIELD_UNNAMED", 3, 14)],
    ),
    "only blank rows": ("fileUrl,fileName\n,\n,,,\n", [("NO_ROWS", 3, 0)]),
    "semicolons": ("fileUrl;fileName\nhttp://x/a;a\n", [("CSV_SEPARATOR", 1, 8)]),
    "tabs": ("fileName\tfileUrl\na\thttp://x/a\n", [("CSV_SEPARATOR", 1, 9)]),
    "bars": ('"fileUrl"|"fileName"\nhttp://x/a|a\n', [("CSV_SEPARATOR", 1, 10)]),
    "semicolons, and Excel's hint": (
        "sep=;\r\nfileUrl;fileName\r\nhttp://x/a;a\r\n",
        [("CSV_SEPARATOR", 1, 5)],
    ),
    "Excel's hint of commas": ("sep=,\r\nfileUrl,fileName\r\nhttp://x/a,a\r\n", []),
    "nothing under Excel's hint": ("sep=,", [("NO_ROWS", 1, 0)]),
    "a quote not closed in the header": (
        'fileUrl,"fileName\nhttp://x/a,a\n',
        [("CSV_QUOTE", 1, 9)],
    ),
    "an algorithm without its column of digests": (
        "fileUrl,fileName,hashAlgorithm\nhttp://x/a,a,\nhttp://x/b,b,md5\nhttp://x/c,c,md5\n",
        [("DIGEST_MISSING", 3, 14)],
    ),
    "a column of digests misspelt": (
        f"fileUrl,fileName,hashAlgorithm,hashVale\nhttp://x/a,a,md5,{MD5}\n",
        [("FIELD_UNKNOWN", 1, 32)],
    ),
    "several unknown columns": (
        "fileUrl,fileName,shelf,box,room,row,lid,label\nhttp://x/a,a,1,2,3,4,5,6\n",
        [("FIELD_UNKNOWN", 1, 18)],
    ),
    "quote not closed": ('fileUrl,fileName\nhttp://x/a,"a\nhttp://x/b,b\n', [("CSV_QUOTE", 2, 12)]),
    "a line break in a value": (
        'fileUrl,fileName,title\nhttp://x/a,a,"Diary\nof 1843"\nhttp://x/b,b,T\n',
        [("CSV_QUOTE", 2, 14)],
    ),
    "line breaks in two values": (
        'fileUrl,fileName,title\nhttp://x/a,a,"A\nB"\nhttp://x/b,b,"C\nD"\n',
        [("CSV_QUOTE", 2, 14), ("CSV_QUOTE", 4, 14)],
    ),
    "text after a quote": ('fileUrl,fileName\nhttp://x/a,"a"b\n', [("CSV_QUOTE", 2, 12)]),
    "quote inside a value": ('fileUrl,fileName\nhttp://x/a,a"b\n', [("CSV_QUOTE", 2, 13)]),
    "no URL": ("fileUrl,fileName\n,a\n", [("URL_MISSING", 2, 1)]),
    "bad digest": (
        f"fileUrl,fileName,hashAlgorithm,hashValue\nhttp://x/a,a,sha-256,{MD5}\n",
        [("DIGEST_BAD", 2, 22)],
    ),
    "bad quoted digest": (
        f'fileUrl,fileName,hashAlgorithm,hashValue\nhttp://x/a,"a,b",sha-256,"{MD5}"\n',
        [("DIGEST_BAD", 2, 27)],
    ),
    "name twice": ("fileUrl,fileName\nhttp://x/a,a\nhttp://x/b,a\n", [("NAME_REPEATED", 3, 12)]),
    "name twice, once quoted": (
        'fileUrl,fileName\nhttp://x/a,a\nhttp://x/b,"a"\n',
        [("NAME_REPEATED", 3, 13)],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_finding_has_line_and_column(case: str) -> None:
    text, places = BAD[case]

    assert read_csv(text).places == places


def test_columns_that_describe_objects_have_no_place_in_an_ingest_manifest() -> None:
    outcome = read_csv("fileUrl,title\nhttp://x/a,T\n", INGEST.name)

    assert outcome.codes == ["FIELD_UNKNOWN", "NAME_FROM_URL"]


def test_blank_lines_line_ends_and_a_missing_last_one_do_not_matter() -> None:
    plain = read_csv("fileUrl,fileName\nhttp://x/a,a\nhttp://x/b,b\n")
    loose = read_csv("\r\nfileUrl , fileName\r\n\r\nhttp://x/a , a\r\n \r\nhttp://x/b,b")

    assert loose.codes == []
    assert [entry._replace(line=0) for entry in loose.entries] == [
        entry._replace(line=0) for entry in plain.entries
    ]
    assert [entry.line for entry in loose.entries] == [4, 6]


def test_escapes_of_checkm_mean_nothing_in_csv() -> None:
    (entry,) = read_csv("fileUrl,fileName\nhttp://x/a,a%7cb%20\n").entries

    assert entry.name == "a%7cb%20"


def test_a_quoted_name_keeps_its_blanks() -> None:
    (entry,) = read_csv('fileUrl,fileName\nhttp://x/a," a "\n').entries

    assert entry.name == " a "


def test_short_rows_get_one_remark() -> None:
    outcome = read_csv("fileUrl,fileName,title\nhttp://x/a,a\nhttp://x/b,b\n")

    assert [(each.code, each.line) for each in outcome.findings] == [("FIELDS_PADDED", 2)]


def test_empty_rows_and_columns_of_a_spreadsheet_are_none() -> None:
    text = (
        "fileUrl,fileName,title,,\r\nhttp://x/a,a,A,,\r\n,,,,\r\nhttp://x/b,b,B,,\r\n"
        + ',,,,\r\n, ,"",,\r\n' * 100
    )

    outcome = read_csv(text)

    assert outcome.findings == []
    assert [(entry.line, entry.name) for entry in outcome.entries] == [(2, "a"), (4, "b")]
    assert outcome.reading.row_count == 2


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
@pytest.mark.parametrize("filename", ["manifest.csv", "manifest.txt", "manifest"])
def test_another_separator_than_commas_is_named(separator: str, name: str, filename: str) -> None:
    text = separator.join(("url", "name", "title")) + "\n"
    text += "".join(separator.join((f"http://x/{n}", f"{n}", "T")) + "\n" for n in range(1_000))

    (finding,) = read(text, filename=filename).findings

    assert finding.code == "CSV_SEPARATOR"
    assert f"separated by {name} instead" in finding.message
    assert "Excel" in finding.message


def test_without_a_column_of_names_that_is_remarked_on_once() -> None:
    outcome = read_csv("fileUrl,title\n" + "".join(f"http://x/{n},T\n" for n in range(50)))

    (finding,) = outcome.findings
    assert (finding.code, finding.line) == ("NAME_FROM_URL", 2)
    assert "no column fileName" in finding.message
    assert len(outcome.entries) == 50


@pytest.mark.parametrize("header", ['"fileUrl', 'fileUrl "', "url\u2028"])
def test_a_single_heading_in_unusual_quotes_is_a_finding_and_no_separator(header: str) -> None:
    outcome = read_csv(f"{header}\nhttp://x/1\n")

    assert "CSV_SEPARATOR" not in {finding.code for finding in outcome.findings}
