import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.manifests.entry import Entry, entry_of, row_of

texts = st.text(max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    algorithm, length = draw(
        st.sampled_from([("", 0), ("md5", 32), ("sha-256", 64), ("sha-512", 128)])
    )
    return Entry(
        line=draw(st.integers(1)),
        kind=draw(st.sampled_from(["file", "container", "manifest"])),
        url=draw(texts),
        name=draw(texts),
        algorithm=algorithm,
        digest=draw(st.text("0123456789abcdef", min_size=length, max_size=length)),
        size=draw(st.none() | st.integers(0)),
        primary=draw(texts),
        local=tuple(draw(st.lists(texts, max_size=3))),
        creator=draw(texts),
        title=draw(texts),
        date=draw(texts),
        parameters=draw(st.dictionaries(texts, json_values, max_size=3)),
    )


@given(entries())
@settings(deadline=None)
def test_a_row_is_read_back_as_the_entry_it_was_made_of(each: Entry) -> None:
    assert entry_of(row_of(each)) == each


@given(entries())
@settings(deadline=None)
def test_a_row_is_one_line_whatever_the_entry_holds(each: Entry) -> None:
    assert row_of(each).endswith(b"\n")
    assert len(row_of(each).splitlines()) == len(row_of(each).decode().splitlines()) == 1


def test_a_row_leaves_out_what_is_empty() -> None:
    least = Entry(7, "file", "https://example.org/a", "a")

    assert row_of(least) == b'{"line":7,"kind":"file","url":"https://example.org/a","name":"a"}\n'


def test_a_row_has_the_keys_that_steps_read() -> None:
    full = Entry(
        line=7,
        kind="manifest",
        url="https://example.org/a.checkm",
        name="a.checkm",
        algorithm="md5",
        digest="0" * 32,
        size=0,
        primary="ark:/99999/fk4",
        local=("one", "two"),
        creator="C",
        title="T",
        date="1987",
        parameters={"shelf": [1]},
    )

    fields: dict[str, Any] = json.loads(row_of(full))

    assert fields == {**full._asdict(), "local": ["one", "two"]}
    assert list(fields) == list(Entry._fields)
