"""`jobyard calendar` on a terminal."""

import json
from typing import Any

import pytest

from tests.cli.fake_api import NOW, FakeApi, Run, problem

WHY = ("--reason", "next year is known")


def calendar(**changes: Any) -> dict[str, Any]:
    """A calendar as the API shows it."""
    return {
        "name": "holidays",
        "title": "State holidays",
        "exclude": ["2026-12-25", {"from": "2026-12-28", "to": "2027-01-01"}],
        "include": [{"weekdays": ["mon", "tue"], "from": "22:00", "to": "04:00"}],
        "version": 3,
        "history": [{"event": "put", "at": NOW, "actor": "admin", "reason": "new", "cause": "r1"}],
        "links": {},
        **changes,
    }


COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("list",), "GET /calendars", {"items": [calendar()]}),
    (("show", "holidays"), "GET /calendars/holidays", calendar()),
    (("put", "holidays", *WHY), "PUT /calendars/holidays", calendar()),
    (("delete", "holidays", *WHY), "DELETE /calendars/holidays", calendar()),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_json_is_the_apis_document_and_nothing_else(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    shown = run("calendar", *words, "--json")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == document


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_answers_and_errors_are_shown_as_text(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document, problem(409, "schedules use calendar holidays: s1"))

    shown, refused = run("calendar", *words), run("calendar", *words)

    assert shown.exit_code == 0
    assert "holidays" in shown.stdout
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "schedules use calendar" in refused.stderr


def test_a_calendar_is_shown_as_text(run: Run, api: FakeApi) -> None:
    api.answers("GET /calendars/holidays", calendar())

    shown = run("calendar", "show", "holidays").stdout

    assert "25 December 2026; 28 December 2026 to 1 January 2027" in shown
    assert "on Monday and Tuesday from 22:00 to 04:00" in shown
    assert "new" in shown


def test_a_calendar_is_put_with_dates_ranges_and_windows(run: Run, api: FakeApi) -> None:
    api.answers("PUT /calendars/holidays", calendar())

    shown = run(
        *("calendar", "put", "holidays", *WHY, "--title", "State holidays", "--version", "2"),
        *("--exclude", "2026-12-25", "--exclude", "2026-12-28..2027-01-01"),
        *("--include", "mon,tue 22:00-04:00", "--include", "sun", "--include", "01:00-02:00"),
    )

    text = " ".join(shown.stdout.split())
    assert "excludes 25 December 2026; 28 December 2026 to 1 January 2027" in text
    assert "version 3" in text
    assert api.bodies("PUT") == [
        {
            "reason": WHY[1],
            "title": "State holidays",
            "exclude": ["2026-12-25", {"from": "2026-12-28", "to": "2027-01-01"}],
            "include": [
                {"weekdays": ["mon", "tue"], "from": "22:00", "to": "04:00"},
                {"weekdays": ["sun"]},
                {"from": "01:00", "to": "02:00"},
            ],
            "version": 2,
        }
    ]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--include", "at night"), 2),
        (("--include", ""), 2),
        (("--include", "monday"), 1),
        (("--exclude", "25.12.2026"), 1),
    ],
)
def test_invalid_calendars_are_not_sent(
    flags: tuple[str, ...], code: int, run: Run, api: FakeApi
) -> None:
    assert run("calendar", "put", "holidays", *WHY, *flags).exit_code == code
    assert run("calendar", "put", "State Holidays", *WHY).exit_code == 2
    assert run("calendar", "put", "holidays").exit_code == 2
    assert api.requests == []


def test_replacing_a_calendar_shows_its_old_settings_too(run: Run, api: FakeApi) -> None:
    api.answers("GET /calendars/holidays", calendar())
    api.answers("PUT /calendars/holidays", calendar(exclude=["2026-12-31"], include=[]))

    shown = run("calendar", "put", "holidays", *WHY, "--exclude", "2026-12-31").stdout
    now, _, before = shown.partition("Before\n")

    assert "31 December 2026" in now
    assert "25 December 2026" in before
    assert "on Monday and Tuesday" in before


def test_a_calendar_that_excludes_nothing_says_so(run: Run, api: FakeApi) -> None:
    api.answers("GET /calendars/holidays", problem(404, "there is no calendar holidays"))
    api.answers("PUT /calendars/holidays", calendar(exclude=[], include=[]))

    shown = run("calendar", "put", "holidays", *WHY).stdout

    assert "the calendar excludes nothing" in shown
    assert "Before" not in shown
