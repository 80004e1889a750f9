"""Text as pages show it."""

from web.filters import breakable


def test_a_line_may_end_after_the_parts_of_an_address() -> None:
    shown = breakable("GET https://files.example.org/a/b.tif?v=4&sig=9 ended")

    assert shown.split("<wbr>") == [
        "GET https://files.example.org/",
        "a/",
        "b.tif?",
        "v=4&amp;",
        "sig=9 ended",
    ]


def test_a_breakable_text_is_escaped() -> None:
    assert breakable("<b>a/b</b>") == "&lt;b&gt;a/<wbr>b&lt;/b&gt;"
