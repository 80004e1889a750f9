"""Cause keys: one format, one parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.cause_key import Action, CauseKey, Interruption


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (CauseKey("r0123456789ab"), "r0123456789ab"),
        (CauseKey("main", 1, 0, 2), "main.p1.c0.t2"),
        (CauseKey("main", 3, 7, 1, interruption=Interruption.ORPHANED), "main.p3.c7.t1.lost"),
        (CauseKey("main", interruption=Interruption.REPLACED), "main.replaced"),
        (CauseKey("main", 4, action=Action.SETTLE), "settle.main.p4.c0.t0"),
        (CauseKey("main", 151, action=Action.STALLED), "stalled.main.p151.c0.t0"),
        (CauseKey(action=Action.OPEN, subject="b2.x-open.main"), "open.b2.x-open.main"),
        (CauseKey(action=Action.OPENED, subject="b2.x-open.main"), "opened.b2.x-open.main"),
        (CauseKey(action=Action.UPLOADED, subject="3sL4.kqt"), "landed.3sL4.kqt"),
        (CauseKey(action=Action.REPORT, subject="12"), "report.12"),
    ],
)
def test_a_key_has_one_format(key, text):
    assert str(key) == text
    assert CauseKey.parse(text) == key


@given(
    st.builds(
        CauseKey,
        run=st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True).filter(
            lambda run: run not in {*Action}
        ),
        pass_number=st.integers(1, 10**9),
        chunk=st.integers(0, 10**6),
        attempt=st.integers(0, 10**4),
        action=st.sampled_from([Action.NONE, Action.SETTLE, Action.STALLED]),
        interruption=st.sampled_from(Interruption),
    )
)
def test_what_is_written_is_read_again(key):
    assert CauseKey.parse(str(key)) == key


@given(st.text(max_size=40))
def test_any_text_is_some_key_and_keeps_its_words(text):
    key = CauseKey.parse(text)

    assert key.run in text
    assert key.subject in text


def test_only_a_request_has_a_key_of_one_word():
    assert CauseKey.parse("r0123456789ab").is_request
    assert not CauseKey.parse("main.p1.c0.t1").is_request
    assert not CauseKey.parse("open.execution").is_request
    assert not CauseKey.parse("opened.execution").is_request
    assert not CauseKey.parse("main.replaced").is_request
