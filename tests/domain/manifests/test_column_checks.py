"""The quick check and the explaining check agree."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.manifests.column_checks import entries_of
from jobyard.domain.manifests.file_names import FileNames
from jobyard.domain.manifests.profiles import INFERRED, Column, Profile
from jobyard.domain.manifests.validation import Cell, Row, check_row, local_ids_in
from tests.domain.manifests.manifest_texts import EVERY_PROFILE, MD5, SHA_256

free = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd"), max_size=8
).map(str.strip)
VALUES = {
    Column.URL: st.sampled_from(
        ["http://x/a", "https://example.org:80/b%20/c", "http://1.2.3.4/"] * 3
        + [
            "HTTP://x/a",
            "http://x",
            "http://-/a",
            "http://x:99999/a",
            "ftp://x/a",
            "http://x/a b",
            "http://x/ä",
            "s3://bucket/key",
            "http://x.-/",
            "http://x-/",
            "",
        ]
    ),
    Column.ALGORITHM: st.sampled_from(["md5"] * 5 + ["MD5", "sha-256", "", "sha-1"]),
    Column.DIGEST: st.sampled_from(
        [MD5] * 5 + [MD5.upper(), SHA_256, "", "0" * 30 + " 1", "z" * 32]
    ),
    Column.SIZE: st.sampled_from(["0", "12", "007", ""] * 3 + ["1" * 18, "1" * 19, "-1", "\u0661"]),
    Column.NAME: st.sampled_from(
        ["a", "b.zip", "c.checkm", "d/e", "F.TAR"] * 3
        + [
            " a",
            "a ",
            "\u00a0a",
            "",
            " ",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/./b",
            ".a",
            "a/.b",
            "C:/a",
            "a\\..",
            "a/b.",
            "CON.txt",
            "x/lpt1",
            "com\u00b9",
            "conout$.b",
            "content",
            'a"b',
            "a.İ",
            "x.chec\u212am",
        ]
    )
    | free,
    Column.PRIMARY: st.sampled_from(
        ["", "ark:/1/a", "ark:/99999/fk4x"] * 3 + ["ark:/1/", "ark:1/a-b"]
    ),
    Column.LOCAL: st.sampled_from(
        ["", "a", "a;b", " ; ", "a%scb", "x" * 1_025, "y;" * 101, "z;" * 50]
    )
    | free,
    Column.CREATOR: free,
    Column.TITLE: free,
    Column.DATE: free,
}


@given(
    st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=6),
    st.sampled_from([*EVERY_PROFILE, INFERRED]),
)
@settings(deadline=None, max_examples=300)
def test_what_passes_by_column_passes_row_by_row_as_the_same_entries(
    rows: list[dict[Column, str]], profile: Profile
) -> None:
    texts: dict[Column, Sequence[str]] = {
        column: values for column in Column if any(values := [row.get(column, "") for row in rows])
    }

    quick = entries_of(texts, 7, profile)

    if quick is not None:
        slow = []
        for number, row in enumerate(rows, start=7):
            cells = {column: Cell(text, 1) for column, text in row.items()}
            local = local_ids_in(row[Column.LOCAL])
            entry, findings = check_row(Row(number, cells, local), profile, FileNames())
            assert findings == []
            slow.append(entry)
        assert quick == slow


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 10**17)), min_size=1))
@settings(deadline=None)
def test_ordinary_rows_pass_by_column(values: list[tuple[str, int]]) -> None:
    texts = {
        Column.URL: [f"https://example.org/{name}" for name, _ in values],
        Column.ALGORITHM: ["sha-256" for _ in values],
        Column.DIGEST: [SHA_256 for _ in values],
        Column.SIZE: [str(size) for _, size in values],
        Column.NAME: [f"{name}/{size}.checkm" for name, size in values],
    }

    entries = entries_of(texts, 1, INFERRED)

    assert entries is not None
    assert [entry.size for entry in entries] == [size for _, size in values]
