from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.natural_order import natural_key


def test_titles_sort_as_people_count() -> None:
    titles = ["Sweep", "No. 1", "no. 2", "No. 09", "No. 10", "No. 10a", "No. 100", "No. a", "7 up"]

    ordered = sorted(titles, key=natural_key)

    assert ordered == [
        *("7 up", "No. 1", "no. 2", "No. 09", "No. 10", "No. 10a", "No. 100", "No. a", "Sweep")
    ]


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_larger_number_comes_later(one: int, other: int) -> None:
    assert (natural_key(f"a {one}") < natural_key(f"a {other}")) == (one < other)


@given(st.text(max_size=100))
def test_a_title_fits_into_a_key(title: str) -> None:
    assert len(natural_key(title).encode()) <= 1024 - 22
