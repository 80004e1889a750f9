"""Calendars and collections on the pages."""

import pytest

from jobyard.store import calendars, collections
from tests.functions.web.browser import Browser, Page

AT = "/calendars/holidays"


def _put(browser: Browser, **fields: str) -> Page:
    form = browser.get(AT).forms[AT] | {"title": "", "exclude": "", "include": "", "reason": "x"}
    return browser.post(AT, form | fields)


def test_a_calendar_is_written_as_lines_and_read_back_the_same(browser: Browser) -> None:
    browser.sign_in("admin")
    exclude = "2026-12-25\n2026-12-24 to 2027-01-01"
    include = "mon tue 22:00 to 02:00\nsat sun 00:00 to 24:00"

    assert _put(browser, title="Holidays", exclude=exclude, include=include).location == AT

    stored = calendars.find("holidays")
    assert stored is not None
    assert len(stored.calendar.exclude) == len(stored.calendar.include) == 2
    page = browser.get(AT)
    for line in (*exclude.splitlines(), *include.splitlines()):
        assert line in page.html
    again = browser.submit(page, AT, title="Holidays", exclude=exclude, include=include, reason="y")
    assert again.location == AT
    after = calendars.find("holidays")
    assert after is not None
    assert after.calendar == stored.calendar


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"exclude": "Christmas"}, "Christmas"),
        ({"exclude": "2026-12-25 until 2026-12-26"}, "lines like 2026-12-25"),
        ({"include": "xyz 22:00 to 02:00"}, "lines like mon tue fri"),
        ({"include": "mon 25:00 to 26:00"}, "25:00"),
        ({"reason": ""}, "needs a reason"),
    ],
)
def test_a_calendar_that_cannot_be_read_says_why_and_keeps_what_was_typed(
    browser: Browser, fields: dict[str, str], words: str
) -> None:
    browser.sign_in("admin")

    answer = _put(browser, **fields)

    assert answer.status == 422
    assert words in answer.alert
    assert calendars.find("holidays") is None


def test_a_calendar_that_somebody_else_has_changed_is_not_overwritten(browser: Browser) -> None:
    browser.sign_in("admin")
    stale = browser.get(AT)
    _put(browser, exclude="2026-12-25")

    answer = browser.submit(stale, AT, title="", exclude="", include="", reason="mine")

    assert answer.status == 409
    stored = calendars.find("holidays")
    assert stored is not None
    assert stored.calendar.exclude


def test_a_form_without_a_reason_does_not_hide_that_somebody_else_was_faster(
    browser: Browser,
) -> None:
    browser.sign_in("admin")
    stale = browser.get(AT)
    _put(browser, exclude="2026-12-25")
    mine = {"title": "", "exclude": "", "include": ""}
    without_reason = browser.submit(stale, AT, reason="", **mine)

    refused = browser.submit(without_reason, AT, reason="mine", **mine)

    assert (without_reason.status, refused.status) == (422, 409)
    assert browser.submit(refused, AT, reason="mine", **mine).status == 303


def test_a_calendar_is_deleted(browser: Browser) -> None:
    browser.sign_in("admin")
    _put(browser, exclude="2026-12-25")

    answer = browser.submit(browser.get(AT), f"{AT}/delete", reason="no longer used")

    assert answer.location == "/calendars"
    assert calendars.find("holidays") is None


def test_an_owner_allows_a_person_to_deposit(browser: Browser) -> None:
    browser.sign_in("admin")
    at = "/collections/maps"

    allowed = browser.submit(
        browser.get(at), f"{at}/allow", people="operator", groups="", reason="she helps"
    )

    assert allowed.location == at
    found = collections.find("maps")
    assert found is not None
    assert "operator" in found.people.values()
    assert "she helps" in browser.get(at).text


def test_nobody_else_may(browser: Browser) -> None:
    browser.sign_in("viewer")
    at = "/collections/maps"
    page = browser.get(at)

    answer = browser.post(
        f"{at}/allow", page.forms["/sign-out"] | {"people": "viewer", "reason": "me"}
    )

    assert f"{at}/allow" not in page.forms
    assert answer.status == 403
