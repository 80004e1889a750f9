"""Names of one object's files: repeats, files that are also folders, collisions on a disk."""

import json
import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.manifests import object_names
from jobyard.domain.manifests.object_names import ObjectNames
from jobyard.domain.manifests.profiles import SINGLE_FILE_BATCH
from jobyard.domain.paths import folded
from tests.domain.manifests.manifest_texts import checkm, read, row

parts = st.sampled_from(["a", "A", "b", "é", "e\u0301", "É", "photos", "Photos"])
names = st.lists(parts, min_size=1, max_size=4).map("/".join)


def folders_of(name: str) -> list[str]:
    """The folders of `name`, the innermost first."""
    above = name.split("/")[:-1]
    return ["/".join(above[:depth]) for depth in range(len(above), 0, -1)]


class Plain:
    """The same check by sets of text."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def codes(self, name: str) -> list[str]:
        if name in self.files:
            return ["NAME_REPEATED"]
        codes = ["NAMES_MEET"] if folded(name) in set(map(folded, self.files)) else []
        self.files.add(name)
        codes += self._clash(name, self.folders)
        for folder in folders_of(name):
            if folder in self.folders:
                break
            self.folders.add(folder)
            codes += self._clash(folder, self.files)
        return codes

    def _clash(self, name: str, others: set[str]) -> list[str]:
        if name in others:
            return ["NAME_IS_FOLDER"]
        return ["NAMES_MEET"] if folded(name) in set(map(folded, others)) else []


@given(st.lists(st.lists(names, min_size=1, max_size=8), max_size=8))
def test_collisions_are_those_that_sets_of_text_find(groups: list[list[str]]) -> None:
    plain, kept = Plain(), ObjectNames()
    line = 1
    for group in groups:
        expected = [
            (offset, code) for offset, name in enumerate(group) for code in plain.codes(name)
        ]

        found = kept.add_and_check(group, line)

        assert [(clash.offset, clash.check.value) for clash in found] == expected
        line += len(group)


def test_collisions_are_found_after_any_number_of_other_names() -> None:
    kept = ObjectNames()
    kept.add_and_check([f"folder {number % 900}/{number}" for number in range(9_000)], 1)

    found = kept.add_and_check(
        ["folder 17", "Folder 8", "folder 3/3", "FOLDER 4/4", "folder 5/5/x"], 9_001
    )

    assert [(clash.offset, clash.check.value) for clash in found] == [
        (0, "NAME_IS_FOLDER"),
        (1, "NAMES_MEET"),
        (2, "NAME_REPEATED"),
        (3, "NAMES_MEET"),
        (4, "NAME_IS_FOLDER"),
    ]
    assert "line 4:" in found[2].message
    assert "which is a file on line 6" in found[4].message


ORDERS = {"file first": ["photos", "photos/a/1.jpg"], "folder first": ["photos/a/1.jpg", "photos"]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("format_", ["checkm", "csv", "jsonl"])
def test_a_file_where_a_folder_has_to_be_is_an_error_at_line_and_column(
    order: str, format_: str
) -> None:
    listed = [*ORDERS[order], "photos/a/2.jpg"]
    if format_ == "checkm":
        text, line = checkm(*(row(name=name) for name in listed)), 7
        column = row(name=listed[1]).index(f"| {listed[1]}") + 3
    elif format_ == "csv":
        text, line = "url,name\n" + "".join(f"http://x/a,{name}\n" for name in listed), 3
        column = 12
    else:
        lines = (f'{{"url": "http://x/a", "name": "{name}"}}\n' for name in listed)
        text, line, column = "".join(lines), 2, 23

    outcome = read(text, filename=f"m.{format_}")

    assert outcome.places == [("NAME_IS_FOLDER", line, column)]
    assert outcome.reading.worst_level == "error"


def test_a_folder_and_a_file_of_a_name_that_only_begins_alike_are_two() -> None:
    outcome = read(checkm(*(row(name=name) for name in ("photos", "photos-2/a", "photosa", "a"))))

    assert outcome.codes == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("Readme.txt", "README.TXT"), ("é.txt", "e\u0301.txt"), ("Photos", "photos/1.jpg")],
)
def test_names_that_collide_on_some_disk_get_a_remark(one: str, other: str) -> None:
    for pair in ((one, other), (other, one)):
        outcome = read(checkm(*(row(name=name) for name in pair)))

        assert [place[:2] for place in outcome.places] == [("NAMES_MEET", 7)]
        assert len(outcome.entries) == 2


def test_rows_of_different_objects_do_not_collide() -> None:
    rows = [row(name=name) for name in ("photos", "photos/1.jpg", "A", "a")]

    assert read(checkm(*rows, profile=SINGLE_FILE_BATCH)).codes == []


@pytest.mark.parametrize("name", ["CON", "logs/nul.txt", "C:x", "a.", "a ", "what?", 'a"b'])
def test_a_name_that_windows_cannot_hold_is_remarked_on(name: str) -> None:
    field = name.replace(" ", "%20")

    outcome = read(checkm(row(name="before"), row(name=field), row(name="after")))

    assert [place[:2] for place in outcome.places] == [("NAME_UNPORTABLE", 7)]
    assert [entry.name for entry in outcome.entries] == ["before", name, "after"]


# Prints the most memory that so many names of each kind take. In a process of its own, because
# other threads and what measures coverage allocate memory, too.
PEAKS = """
import json, sys, tracemalloc
from jobyard.domain.manifests.object_names import ObjectNames

kinds, counts = map(json.loads, sys.argv[1:])
for named in map(eval, kinds):
    kept = ObjectNames()
    tracemalloc.start()
    for start in range(0, max(counts), 250):
        kept.add_and_check(list(map(named, range(start, start + 250))), start)
        if start + 250 in counts:
            print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""
NAMED = {
    "no folders": "lambda n: f'{n:07d}'",
    "a folder each": "lambda n: f'Folder {n}/File {n}'",
    "a folder each, in no order": "lambda n: f'{str(n)[::-1]}/{n}'",
    "some folders": "lambda n: f'{n % 7}/{n % 10_007}/{n}'",
}
COUNTS = (2_500, 3_500)


@pytest.fixture(scope="module")
def peaks() -> dict[tuple[str, int], int]:
    """The most bytes that names take, by their kind and count."""
    command = [sys.executable, "-c", PEAKS, json.dumps([*NAMED.values()]), json.dumps(COUNTS)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(zip(product(NAMED, COUNTS), map(int, printed.split()), strict=True))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("named", NAMED)
def test_a_name_and_its_folder_use_at_most_forty_bytes(
    count: int, named: str, peaks: dict[tuple[str, int], int]
) -> None:
    assert (peaks[named, count] - 50_000) / count <= 40  # less the names in hand


def test_too_many_folders_are_refused_and_no_longer_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_names, "MAX_FOLDERS", 100)
    rows = [row(name="/".join(f"{n}-{depth}" for depth in range(5))) for n in range(100)]

    outcome = read(checkm(*rows))

    assert [place[:2] for place in outcome.places] == [("TOO_MANY_FOLDERS", 31)]
