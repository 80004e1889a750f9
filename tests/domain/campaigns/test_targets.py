"""Targets of campaigns: the same checks inline, in CSV and in JSON Lines."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from jobyard.domain.campaigns.target_checks import TargetCheck
from jobyard.domain.campaigns.targets import (
    MAX_TARGET_LINES,
    MAX_TARGETS,
    CampaignTarget,
    TargetReader,
    inline_targets,
)
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.manifests.findings import Finding

HEADER = "id,address,zone,secret\n"


def read(text: str | bytes, filename: str = "targets.csv") -> tuple[TargetReader, list[Finding]]:
    data = text if isinstance(text, bytes) else text.encode()
    reader = TargetReader([data], filename=filename)
    return reader, [finding for _, findings in reader for finding in findings]


def targets_in(text: str, filename: str = "targets.csv") -> list[CampaignTarget]:
    return [each for part, _ in TargetReader([text.encode()], filename=filename) for each in part]


def positions(findings: Sequence[Finding]) -> list[tuple[str, int, int]]:
    return [(each.code, each.line, each.column) for each in findings]


TWO = [
    CampaignTarget("dev:1", "10.0.0.1:8443", "Europe/Zurich", "device/admin"),
    CampaignTarget("dev-2"),
]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}dev:1,10.0.0.1:8443,Europe/Zurich,device/admin\ndev-2,,,\n",
        "\n,,\nSecret, ID ,zone,address\n,dev-2\n",
        'id,address,zone,secret\r\n"dev:1", 10.0.0.1:8443 ,Europe/Zurich,device/admin\r\ndev-2',
        '{"id": "dev:1", "address": "10.0.0.1:8443", "zone": "Europe/Zurich", '
        '"secret": "device/admin"}\n\n{"id": "dev-2", "zone": null}\n',
    ],
)
def test_targets_are_read_from_csv_and_json_lines(text: str) -> None:
    found = targets_in(text)

    assert found == (TWO if "dev:1" in text else TWO[1:])
    assert read(text)[0].errors == 0


def test_targets_without_an_address_are_counted_if_others_have_one() -> None:
    some = f"{HEADER}a,10.0.0.1,,\nb,,,\nc,,,\n"

    reader, (finding,) = read(some)

    assert (reader.worst_level, *positions([finding])) == ("warning", ("ADDRESS_MISSING", 3, 1))
    assert finding.message == "2 of 3 targets have no address: this is the first"
    assert read("id\na\nb\n")[1] == []


def test_targets_read_back_from_their_documents() -> None:
    assert [CampaignTarget.of_document(each.document()) for each in TWO] == TWO
    assert TWO[1].document() == {"id": "dev-2"}


@pytest.mark.parametrize(
    ("rows", "expected", "words"),
    [
        (",10.0.0.1", ("TARGET_ID_MISSING", 2, 1), "a target needs an id"),
        ("a b", ("TARGET_ID_BAD", 2, 1), 'id "a b": up to 128 letters, digits and :._-'),
        ("x" * 129, ("TARGET_ID_BAD", 2, 1), "up to 128 letters"),
        ("é", ("TARGET_ID_BAD", 2, 1), "up to 128 letters"),
        ("a,10.0.0.1:99999", ("ADDRESS_BAD", 2, 3), "address"),
        ("a,ftp://x.y", ("ADDRESS_BAD", 2, 3), "must begin with https:// or http://"),
        ("a,https://u:p@x.y", ("ADDRESS_BAD", 2, 3), "may not contain a user name"),
        ("a,x.y/path", ("ADDRESS_BAD", 2, 3), "a host and perhaps a port are allowed"),
        (f"a,{'x' * 1025}", ("ADDRESS_BAD", 2, 3), "longer than 1,024 characters"),
        ("a,,Moon/Crater", ("ZONE_UNKNOWN", 2, 4), "an IANA time zone"),
        ("a,,,no spaces", ("SECRET_BAD", 2, 5), "the name of a secret"),
        ("a,,,,x", ("TOO_MANY_FIELDS", 2, 6), "5 fields for 4 columns"),
        ('a,"x', ("CSV_QUOTE", 2, 3), "a quote is not closed"),
        ("a,1.1.1.1\nb,2.2.2.2\na,3.3.3.3", ("TARGET_DIFFERS", 4, 1), "on line 2, with other"),
    ],
)
def test_an_invalid_target_is_found_by_line_and_column(
    rows: str, expected: tuple[str, int, int], words: str
) -> None:
    reader, findings = read(HEADER + rows)

    assert positions(findings) == [expected]
    assert words in findings[0].message
    assert reader.worst_level == "error"


@pytest.mark.parametrize(
    ("rows", "expected", "words", "count"),
    [
        ("a,1.1.1.1\na,1.1.1.1", ("TARGET_REPEATED", 3, 1), "on line 2, with the same fields", 1),
        ("a,X.org\nb,x.org", ("ADDRESS_REPEATED", 3, 3), "address of the target on line 2", 2),
        ("a,x.org\nb,https://x.org:443/", ("ADDRESS_REPEATED", 3, 3), "also the address of", 2),
        ("a,http://x.org:80\nb,HTTP://x.org/", ("ADDRESS_REPEATED", 3, 3), "also the address", 2),
    ],
)
def test_a_repeated_target_or_address_is_a_warning(
    rows: str, expected: tuple[str, int, int], words: str, count: int
) -> None:
    reader, findings = read(HEADER + rows)

    assert positions(findings) == [expected]
    assert words in findings[0].message
    assert (reader.worst_level, reader.count) == ("warning", count)


@pytest.mark.parametrize("other", ["x.org:8443", "http://x.org", "https://x.org/A", "x.org:80"])
def test_another_port_scheme_or_path_is_another_address(other: str) -> None:
    _, findings = read(f"{HEADER}a,https://x.org/a\nb,https://x.org\nc,{other}")

    assert findings == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "NO_TARGETS", "there are no targets"),  # openwisp-firmware-upgrader#465
        (HEADER, "NO_TARGETS", "there are no targets"),
        ("\n\n", "NO_TARGETS", "there are no targets"),
        ("a\nb\n", "FIELD_MISSING", "the first line must name the columns, id among them"),
        ("id;address\na;b\n", "CSV_SEPARATOR", "separated by semicolons"),
        ("id,address,size\na,b,1\n", "FIELD_UNKNOWN", 'not a column: "size"'),
        ("id,address,id\na,b,a\n", "FIELD_REPEATED", 'columns named twice: "id"'),
        ("\xff\xfeid", "INVALID_UTF8", "UTF-16"),
        ('{"id": "a", "ip": "b"}', "FIELD_UNKNOWN", 'not a key: "ip"'),
        ('{"id": 7}', "VALUE_TYPE", 'id must be a string, not "7"'),
        ('{"id": "a"', "JSON_BAD", "not a JSON object"),
        ('[{"id": "a"}]', "JSON_BAD", "each line must be one object"),
        ('{"id": "a", "id": "b"}', "FIELD_REPEATED", "is repeated"),
    ],
)
def test_a_file_without_valid_targets_is_refused(text: str, code: str, words: str) -> None:
    reader, findings = read(text.encode("latin-1"))

    assert findings[0].code == code
    assert words in findings[0].message
    assert reader.worst_level == "error"


def test_the_name_decides_about_a_file_that_begins_like_neither_format() -> None:
    assert read("oops\n", "targets.jsonl")[1][0].code == "JSON_BAD"
    assert read("oops\n", "targets.csv")[1][0].code == "FIELD_MISSING"


def test_blocks_may_end_anywhere() -> None:
    text = (HEADER + "".join(f"d{number}\n" for number in range(300))).encode()
    reader = TargetReader([text[at : at + 7] for at in range(0, len(text), 7)], filename="-")

    found = [each.target_id for part, _ in reader for each in part]

    assert found == [f"d{number}" for number in range(300)]


def test_a_file_may_have_a_hundred_thousand_targets() -> None:
    text = "id\n" + "".join(f"d{number}\n" for number in range(MAX_TARGETS + 2))

    reader, findings = read(text)

    assert positions(findings) == [("TOO_MANY_TARGETS", MAX_TARGETS + 2, 1)]
    assert "at most 100,000 targets are allowed" in findings[0].message
    assert reader.count == MAX_TARGETS


def test_inline_targets_are_ids_or_objects() -> None:
    found, warnings = inline_targets(
        ["a", {"id": "b", "address": "x.org", "zone": None}, {"id": "c", "address": "x.org"}, "a"]
    )

    assert [each.target_id for each in found] == ["a", "b", "c"]
    assert [each.split(":")[0] for each in warnings] == ["targets[2]", "targets[3]"]
    assert "listed already, as number 1, with the same fields" in warnings[1]


@pytest.mark.parametrize(
    ("values", "where", "words"),
    [
        ([], "targets", "at least one target"),
        ([7], "targets[0]", "an id, or an object of id"),
        (["a", {"name": "b"}], "targets[1]", 'no field "name"'),
        ([{"id": 7}], "targets[0]", "id must be a string"),
        (["a b"], "targets[0]", "up to 128"),
        ([{"address": "x.org"}], "targets[0]", "a target needs an id"),
        (["a", {"id": "a", "zone": "UTC"}], "targets[1]", "with other fields"),
        (["a", "b", "c", "d"], "targets[3]", "at most 3 targets"),
    ],
)
def test_an_invalid_inline_target_is_named_by_its_index(
    values: list[Any], where: str, words: str
) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        inline_targets(values, limit=3)

    (problem,) = refused.value.problems
    assert problem.where == where
    assert words in problem.allowed


def test_every_check_has_a_level_and_a_description() -> None:
    assert {each.level for each in TargetCheck} == {"error", "warning"}
    assert all(each.description.endswith(".") for each in TargetCheck)


def test_many_zones_are_checked_one_by_one() -> None:
    rows = "".join(json.dumps({"id": f"d{at}", "zone": f"X/Z{at}"}) + "\n" for at in range(1_003))

    reader, _ = read(rows)

    assert reader.errors == 1_003


def test_a_file_of_empty_lines_is_not_read_for_ever() -> None:
    _, findings = read("id\n" + "\n" * (2 * MAX_TARGET_LINES))

    assert [each.code for each in findings] == ["TOO_MANY_TARGETS"]
    assert MAX_TARGET_LINES < findings[0].line < 2 * MAX_TARGET_LINES
