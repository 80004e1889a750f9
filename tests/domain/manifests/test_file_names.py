import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.manifests.file_names import FileNames
from jobyard.domain.manifests.reader import ManifestReader

some_numbers = st.lists(st.integers(0, 300), min_size=1, max_size=40)


@given(st.lists(some_numbers, max_size=8), st.sampled_from(["none", "text", "counted"]), st.data())
@settings(deadline=None)
def test_a_name_is_repeated_if_an_earlier_line_had_it(
    numbers: list[list[int]], order: str, choice: st.DataObject
) -> None:
    groups = [list(map(str, group)) for group in numbers]
    if order != "none":  # all groups but perhaps the last keep one order
        unique = list(dict.fromkeys(name for group in groups[:-1] for name in group))
        unique.sort(key=int if order == "counted" else str)
        cut = choice.draw(st.integers(0, len(unique)))
        groups = [group for group in (unique[:cut], unique[cut:], *groups[-1:]) if group]
    names, known = FileNames(), {}
    line = 1
    for group in groups:
        expected = []
        for index, name in enumerate(group):
            if name in known:
                expected.append((index, known[name]))
            known.setdefault(name, line + index)

        assert names.add_all(group, line) == expected
        line += len(group)


def test_one_at_a_time_is_as_good_as_many() -> None:
    names = FileNames()

    lines = [names.add(name, line) for line, name in enumerate("abcacz", start=1)]

    assert lines == [0, 0, 0, 1, 3, 0]


def test_names_are_found_again_after_any_number_of_others() -> None:
    names = FileNames()
    many = [f"name {number}" for number in range(10_000)]
    names.add_all(many, 1)

    assert names.add_all(many[::-1], 20_000) == [(index, 10_000 - index) for index in range(10_000)]
    assert names.add("name", 1) == 0


@pytest.mark.parametrize("count", [30_000, 33_000])  # before and after more slots are made
@pytest.mark.parametrize(
    "named",
    [lambda n: f"{n:07d}", str, lambda n: str(n)[::-1]],
    ids=["sorted", "counted", "neither"],
)
def test_a_name_uses_at_most_forty_bytes(count: int, named: Callable[[int], str]) -> None:
    names = FileNames()
    tracemalloc.start()
    for start in range(0, count, 1_000):
        names.add_all(list(map(named, range(start, start + 1_000))), start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (peak - 200_000) / count <= 40  # less the thousand names in hand


@pytest.mark.parametrize(("name", "is_taken"), [("ü" * 512, True), ("ü" * 513, False)])
def test_a_name_is_at_most_as_long_as_a_key_in_s3(name: str, is_taken: bool) -> None:
    text = "fileUrl,fileName,title\n" + "".join(
        f"https://example.org/{n},{name}{n},t\n" for n in range(0 if is_taken else 2)
    )
    text += f"https://example.org/x,{name},t\n"

    reading = ManifestReader([text.encode()], filename="m.csv")
    codes = {finding.code for _, findings in reading for finding in findings}

    assert ("NAME_BAD" not in codes) is is_taken
