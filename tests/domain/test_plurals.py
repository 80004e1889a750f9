import pytest

from jobyard.domain.plurals import plural


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "job", "0 jobs"),
        (1, "job", "1 job"),
        (2, "batch", "2 batches"),
        (1000, "entry", "1,000 entries"),
    ],
)
def test_one_of_a_thing_is_no_plural(number: int, noun: str, words: str) -> None:
    assert plural(number, noun) == words
