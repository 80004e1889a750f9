"""Manifests in JSON Lines: keys, profiles, and findings with line and column."""

import json
from typing import Any

import pytest

from jobyard.domain.manifests.entry import row_of
from jobyard.domain.manifests.profiles import (
    CONTAINER_BATCH,
    INGEST,
    MANIFEST_BATCH,
    SINGLE_FILE_BATCH,
)
from tests.domain.manifests.manifest_texts import MD5, Outcome, read


def read_jsonl(*objects: Any, profile: str | None = None) -> Outcome:
    """Read objects, or lines as they are."""
    lines = [each if isinstance(each, str) else json.dumps(each) for each in objects]
    return read("\n".join(lines), filename="manifest.jsonl", profile=profile)


FULL = {
    "fileUrl": "https://x/a",
    "hashAlgorithm": "md5",
    "hashValue": MD5,
    "fileSize": 12,
    "fileLastModified": "2024-01-01",
    "fileName": "ä/b.txt",
    "mimeType": "text/plain",
    "primaryIdentifier": "ark:/99999/fk4",
    "localIdentifier": ["a;b", "c"],
    "creator": "C",
    "title": "T",
    "date": "1987",
    "parameters": {"shelf": {"row": 3}},
}
SHORT = {
    "url": "https://x/a",
    "algorithm": "md5",
    "digest": MD5,
    "size": "12",
    "name": "ä/b.txt",
    "primary": "ark:/99999/fk4",
    "local": ["a;b", "c"],
    "creator": "C",
    "title": "T",
    "date": "1987",
    "parameters": {"shelf": {"row": 3}},
}


@pytest.mark.parametrize("values", [FULL, SHORT])
def test_keys_are_the_columns_or_what_an_entry_calls_them(values: dict[str, Any]) -> None:
    outcome = read_jsonl(values)

    assert outcome.findings == []
    (entry,) = outcome.entries
    assert entry._asdict() == {
        "line": 1,
        "kind": "file",
        "url": "https://x/a",
        "name": "ä/b.txt",
        "algorithm": "md5",
        "digest": MD5,
        "size": 12,
        "primary": "ark:/99999/fk4",
        "local": ("a;b", "c"),
        "creator": "C",
        "title": "T",
        "date": "1987",
        "parameters": {"shelf": {"row": 3}},
    }


def test_the_rows_of_a_manifest_are_a_manifest_again() -> None:
    (entry,) = read_jsonl(SHORT).entries
    fields = json.loads(row_of(entry))
    del fields["line"], fields["kind"]

    assert read_jsonl(fields).entries == [entry]


def test_a_string_of_local_identifiers_is_split_at_semicolons() -> None:
    outcome = read_jsonl({"url": "http://x/a", "name": "a", "local": "a%scb; c"})

    assert outcome.entries[0].local == ("a;b", "c")


@pytest.mark.parametrize(
    ("names", "profile"),
    [
        (["a.checkm"], MANIFEST_BATCH),
        (["a.zip", "b.tar"], CONTAINER_BATCH),
        (["a.txt", "b.zip"], SINGLE_FILE_BATCH),
    ],
)
def test_objects_that_are_described_are_a_batch_by_their_names(
    names: list[str], profile: Any
) -> None:
    objects = [{"url": f"http://x/{n}", "name": n, "title": None} for n in names]

    assert read_jsonl(*objects).reading.profile == profile.name


def test_the_keys_of_the_first_object_decide_whether_objects_are_described() -> None:
    plain, titled = (
        {"url": "http://x/a", "name": "a"},
        {"url": "http://x/b", "name": "b", "title": "T"},
    )

    assert read_jsonl(plain).reading.profile == INGEST.name
    assert read_jsonl(titled, plain).codes == []
    assert read_jsonl("", "nonsense", plain, titled).codes == ["JSON_BAD", "FIELD_UNKNOWN"]


BAD = {
    "nothing": ("", [("NO_ROWS", 1, 0)]),
    "not JSON": ("{url: 1}", [("JSON_BAD", 1, 2)]),
    "half an object": ('{"url": "http://x/a"', [("JSON_BAD", 1, 21)]),
    "two objects": ('{"url": "http://x/a"} {}', [("JSON_BAD", 1, 23)]),
    "a list": ("[1]", [("JSON_BAD", 1, 1)]),
    "a number": ("1", [("JSON_BAD", 1, 1)]),
    "a number without end": ('{"size": ' + "1" * 5_000 + "}", [("JSON_BAD", 1, 0)]),
    "nested without end": ('{"parameters": ' + "[" * 60_000, [("JSON_BAD", 1, 0)]),
    "not a number": ('{"size": NaN}', [("JSON_BAD", 1, 0)]),
    "a key twice": ('{"url": "http://x/a", "url": "http://x/b"}', [("FIELD_REPEATED", 1, 0)]),
    "a column twice": (
        '{"url": "http://x/a", "name": "a", "fileUrl": "http://x/b"}',
        [("FIELD_REPEATED", 1, 36)],
    ),
    "an unknown key": (
        '{"url": "http://x/a", "name": "a", "shelf": 1}',
        [("FIELD_UNKNOWN", 1, 36)],
    ),
    "an unknown key on every line": (
        '{"url": "http://x/a", "name": "a", "shelf": 1}\n'
        '{"url": "http://x/b", "name": "b", "shelf": 1}\n',
        [("FIELD_UNKNOWN", 1, 36)],
    ),
    "a key misspelt": ('{"ulr": "http://x/a", "name": "a"}', [("FIELD_UNKNOWN", 1, 2)]),
    "a digest's key misspelt": (
        '{"url": "http://x/a", "name": "a", "algorithm": "md5", "digets": "0"}',
        [("FIELD_UNKNOWN", 1, 56)],
    ),
    "one document over several lines": (
        '{\n  "url": "http://x/a",\n  "name": "a"\n}\n',
        [("JSON_BAD", 1, 1)],
    ),
    "an array of objects": (
        '\n [\n{"url": "http://x/a"},\n{"url": "http://x/b"}\n]\n',
        [("JSON_BAD", 2, 2)],
    ),
    "lists nested for a URL": (
        '{"url": ' + "[" * 940 + "]" * 940 + ', "name": "a"}',
        [("VALUE_TYPE", 1, 2)],
    ),
    "parameters nested too deep": (
        '{"url": "http://x/a", "name": "a", "parameters": {"a": ' + "[" * 20 + "]" * 20 + "}}",
        [("PARAMETERS_BAD", 1, 36)],
    ),
    "parameters nested as deep as allowed": (
        '{"url": "http://x/a", "name": "a", "parameters": {"a": ' + "[" * 19 + "]" * 19 + "}}",
        [],
    ),
    "no URL": ('{"name": "a"}', [("URL_MISSING", 1, 0)]),
    "a null URL": ('{"url": null, "name": "a"}', [("URL_MISSING", 1, 2)]),
    "a number for a URL": ('{"url": 1, "name": "a"}', [("VALUE_TYPE", 1, 2)]),
    "a fraction of a byte": (
        '{"url": "http://x/a", "name": "a", "size": 1.5}',
        [("VALUE_TYPE", 1, 36)],
    ),
    "yes for a size": ('{"url": "http://x/a", "name": "a", "size": true}', [("VALUE_TYPE", 1, 36)]),
    "a negative size": ('{"url": "http://x/a", "name": "a", "size": -1}', [("SIZE_BAD", 1, 36)]),
    "numbers for identifiers": (
        '{"url": "http://x/a", "name": "a", "local": [1]}',
        [("VALUE_TYPE", 1, 36)],
    ),
    "a line break in a name": (
        '{"url": "http://x/a", "name": "a\\nb"}',
        [("CONTROL_CHARACTER", 1, 23)],
    ),
    "line breaks in names": (
        '{"url": "http://x/a", "name": "a\\nb"}\n{"url": "http://x/a", "name": "b\\n"}',
        [("CONTROL_CHARACTER", 1, 23), ("CONTROL_CHARACTER", 2, 23)],
    ),
    "a NUL in a title": (
        '{"url": "http://x/a", "name": "a", "title": "\\u0000"}',
        [("CONTROL_CHARACTER", 1, 36)],
    ),
    "half a character": (
        '{"url": "http://x/a", "name": "\\ud800"}',
        [("CONTROL_CHARACTER", 1, 23)],
    ),
    "a tab in an identifier": (
        '{"url": "http://x/a", "name": "a", "local": ["a\\tb"]}',
        [("CONTROL_CHARACTER", 1, 36)],
    ),
    "parameters not an object": (
        '{"url": "http://x/a", "name": "a", "parameters": 1}',
        [("PARAMETERS_BAD", 1, 36)],
    ),
    "parameters beyond numbers": (
        '{"url": "http://x/a", "name": "a", "parameters": {"a": 1e999}}',
        [("PARAMETERS_BAD", 1, 36)],
    ),
    "parameters too large": (
        '{"url": "http://x/a", "name": "a", "parameters": {"a": "' + "b" * 1_017 + '"}}',
        [("PARAMETERS_TOO_LARGE", 1, 36)],
    ),
    "no name": ('{"url": "http://x/a"}', [("NAME_FROM_URL", 1, 2)]),
    "a blank name": ('{"url": "http://x/a", "name": " "}', [("NAME_FROM_URL", 1, 23)]),
    "a name twice": (
        '{"url": "http://x/a", "name": "a"}\n\n{"url": "http://x/b", "name": "a"}',
        [("NAME_REPEATED", 3, 23)],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_finding_has_line_and_column(case: str) -> None:
    text, places = BAD[case]

    assert read_jsonl(text).places == places


def test_parameters_of_a_kilobyte_are_taken() -> None:
    parameters = {"a": "b" * 1_016}

    outcome = read_jsonl({"url": "http://x/a", "name": "a", "parameters": parameters})

    assert outcome.codes == []
    assert outcome.entries[0].parameters == parameters


def test_columns_that_describe_objects_have_no_place_in_an_ingest_manifest() -> None:
    outcome = read_jsonl(
        {"url": "http://x/a", "name": "a"},
        {"url": "http://x/b", "name": "b", "title": "T"},
        profile=INGEST.name,
    )

    assert outcome.places == [("FIELD_UNKNOWN", 2, 36)]


def test_objects_with_other_keys_may_follow_each_other() -> None:
    outcome = read_jsonl(
        {"url": "http://x/a", "name": "a", "title": "T"},
        {"fileUrl": "http://x/b", "fileName": "b", "size": 3},
        {"name": " c ", "url": " http://x/c ", "creator": " C "},
    )

    assert outcome.places == [("NAME_UNPORTABLE", 3, 2)]
    assert [(e.url, e.name, e.size, e.creator) for e in outcome.entries] == [
        ("http://x/a", "a", None, ""),
        ("http://x/b", "b", 3, ""),
        ("http://x/c", " c ", None, "C"),
    ]
