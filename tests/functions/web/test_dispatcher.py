"""Who gets a page, and who is sent to sign in first."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from botocore.exceptions import EndpointConnectionError

from jobyard.services import sessions
from jobyard.store.tables import KeyValueItem
from tests.functions.web.browser import URL, Browser
from tests.functions.web.user_pool import (
    InternalError,
    NotAuthorized,
    UserNotFound,
    UserPool,
    token_of,
)


@pytest.fixture
def user_pool(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> UserPool:
    """The user pool that the pages use."""
    pool = UserPool(browser)
    site = replace(browser.function.SITE, cognito=pool, exchange_code=pool.exchange)
    monkeypatch.setattr(browser.function, "SITE", site)
    return pool


def _sign_in(browser: Browser, to: str = "/") -> None:
    state = _state(browser, to)
    browser.get(f"/sign-in/return?code=good&state={state}")


def _state(browser: Browser, to: str = "/") -> str:
    """Leave for the sign-in page, and the state that it will send back."""
    leaving = browser.get(f"/sign-in?to={to}")
    return parse_qs(urlsplit(leaving.location).query)["state"][0]


def _later(browser: Browser, monkeypatch: pytest.MonkeyPatch, **later: float) -> None:
    site = browser.function.SITE
    now = site.now() + timedelta(**later)
    monkeypatch.setattr(browser.function, "SITE", replace(site, now=lambda: now))


def test_a_person_who_is_not_signed_in_is_sent_to_sign_in_and_back(browser: Browser) -> None:
    answer = browser.get("/?state=failed")

    assert (answer.status, answer.location) == (303, "/sign-in?to=/%3Fstate%3Dfailed")


def test_the_sign_in_page_gets_a_challenge_and_our_address(browser: Browser) -> None:
    leaving = browser.get("/sign-in")

    asked = parse_qs(urlsplit(leaving.location).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    assert asked["redirect_uri"] == [f"{URL}/sign-in/return"]


def test_a_code_signs_in_and_leads_to_the_page_that_was_wanted(
    browser: Browser, user_pool: UserPool
) -> None:
    state = _state(browser, "/holds")

    returned = browser.get(f"/sign-in/return?code=good&state={state}")

    assert (returned.status, returned.location) == (303, "/holds")
    assert browser.get("/").status == 200
    assert len(user_pool.exchanged[0]["code_verifier"]) == 43


def test_two_tabs_can_sign_in_at_once(browser: Browser, user_pool: UserPool) -> None:
    first, second = _state(browser, "/a"), _state(browser, "/b")

    assert browser.get(f"/sign-in/return?code=good&state={first}").location == "/a"
    assert browser.get(f"/sign-in/return?code=good&state={second}").location == "/b"


@pytest.mark.parametrize(
    "secret", ["short", "x" * 25, "x; Domain=example.org", "x\r\nSet-Cookie: a=b"]
)
def test_a_secret_that_is_not_ours_is_replaced(browser: Browser, secret: str) -> None:
    browser.cookies["__Host-sign-in"] = secret

    (cookie,) = browser.get("/sign-in").cookies

    assert secret not in cookie
    assert cookie.isprintable()


def test_a_code_of_another_browser_signs_nobody_in(browser: Browser, user_pool: UserPool) -> None:
    state = _state(browser)
    browser.cookies.clear()

    answer = browser.get(f"/sign-in/return?code=good&state={state}")

    assert (answer.status, user_pool.exchanged) == (401, [])
    assert browser.get("/").status == 303


def test_a_sign_in_that_took_too_long_signs_nobody_in(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = _state(browser)
    _later(browser, monkeypatch, minutes=11)

    answer = browser.get(f"/sign-in/return?code=good&state={state}")

    assert (answer.status, user_pool.exchanged) == (401, [])


@pytest.mark.parametrize("query", ["code=bad", "error=access_denied", ""])
def test_a_refused_sign_in_says_so(browser: Browser, user_pool: UserPool, query: str) -> None:
    state = _state(browser)

    answer = browser.get(f"/sign-in/return?{query}&state={state}")

    assert answer.status == 401
    assert "You are not signed in" in answer.text
    assert "sign in again" in answer.text
    assert "token" not in answer.text


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("/a%2520b?c=d%2526e", "/a%20b?c=d%26e"),
        ("/%25C3%25A9", "/%C3%A9"),
        ("/%C3%A9%20b", "/%C3%A9%20b"),
        ("/x%0D%0ASet-Cookie:%20a=b", "/"),
        ("/x%00", "/"),
        ("/x%E2%80%A8y", "/"),
    ],
)
def test_a_redirect_is_one_line_of_ascii(
    browser: Browser, user_pool: UserPool, to: str, location: str
) -> None:
    state = _state(browser, to)

    assert browser.get(f"/sign-in/return?code=good&state={state}").location == location


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "x"])
def test_signing_in_never_leads_to_another_site(
    browser: Browser, user_pool: UserPool, to: str
) -> None:
    state = _state(browser, to)

    assert browser.get(f"/sign-in/return?code=good&state={state}").location == "/"


def test_the_cookie_is_small_and_out_of_reach_of_scripts_and_other_sites(
    browser: Browser, user_pool: UserPool
) -> None:
    user_pool.groups = [f"a-group-with-a-long-name-{number}" for number in range(500)]
    state = _state(browser)

    returned = browser.get(f"/sign-in/return?code=good&state={state}")

    (cookie,) = returned.cookies
    assert cookie.startswith("__Host-session=")
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; "))
    assert len(cookie) < 4096
    assert "rrrr" not in cookie  # the refresh token stays on the server


def test_a_person_of_many_groups_with_long_names_signs_in_with_their_roles(
    browser: Browser, user_pool: UserPool
) -> None:
    names = (hashlib.sha512(bytes([number])).hexdigest() for number in range(99))
    user_pool.groups = [*names, "viewer"]
    state = _state(browser)

    returned = browser.get(f"/sign-in/return?code=good&state={state}")

    (cookie,) = returned.cookies
    assert len(cookie) < 4096
    assert browser.get("/holds").status == 200


def test_a_session_renews_itself_with_the_roles_that_the_person_has_now(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    user_pool.groups = ["viewer"]
    _later(browser, monkeypatch, minutes=16)

    answer = browser.get("/")

    assert (answer.status, len(answer.cookies)) == (200, 1)
    assert "anna viewer Sign out" in answer.text


def test_two_polls_that_renew_a_session_at_once_are_both_answered(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    _later(browser, monkeypatch, minutes=16)
    other_tab = Browser(browser.function, dict(browser.cookies))
    renew = user_pool.get_tokens_from_refresh_token
    answers = []

    def renew_during_another_poll(**given: str) -> dict[str, Any]:
        monkeypatch.setattr(user_pool, "get_tokens_from_refresh_token", renew)
        answers.append(other_tab.get("/", x_poll="1"))
        return renew(**given)

    monkeypatch.setattr(user_pool, "get_tokens_from_refresh_token", renew_during_another_poll)
    answers.append(browser.get("/", x_poll="1"))

    assert [(each.status, len(each.cookies)) for each in answers] == [(200, 1)] * 2
    assert [each.get("/").status for each in (browser, other_tab)] == [200, 200]


def test_a_revoked_session_has_to_sign_in_again(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    user_pool.revoked.append("r" * 2200)
    _later(browser, monkeypatch, minutes=16)

    answer = browser.get("/")

    assert (answer.status, answer.location) == (303, "/sign-in?to=/")


def test_signing_out_after_a_long_pause_signs_out_too(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    page = browser.get("/")
    _later(browser, monkeypatch, minutes=16)

    answer = browser.submit(page, "/sign-out")

    assert [each.partition(";")[0] for each in answer.cookies] == ["__Host-session="]
    assert browser.get("/").status == 303


def test_signing_out_works_while_the_user_pool_does_not_answer(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    page = browser.get("/")
    _later(browser, monkeypatch, minutes=16)
    user_pool.failure = InternalError

    answer = browser.submit(page, "/sign-out")

    assert (answer.status, urlsplit(answer.location).path) == (303, "/logout")
    assert browser.get("/").status == 303


@pytest.mark.parametrize("headers", [{}, {"x_poll": "1"}])
def test_a_user_pool_that_does_not_answer_keeps_the_session(
    browser: Browser,
    user_pool: UserPool,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    _sign_in(browser)
    _later(browser, monkeypatch, minutes=16)
    user_pool.failure = InternalError

    answer = browser.get("/", **headers)
    user_pool.failure = None

    assert (answer.status, answer.cookies) == (503, ())
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert browser.get("/").status == 200


@pytest.mark.parametrize("failure", [NotAuthorized, UserNotFound])
def test_the_session_of_a_person_who_was_removed_ends(
    browser: Browser,
    user_pool: UserPool,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[Exception],
) -> None:
    _sign_in(browser)
    _later(browser, monkeypatch, minutes=16)
    user_pool.failure = failure

    assert browser.get("/").location == "/sign-in?to=/"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "no token",
        token_of({}),
        token_of([]),
        token_of("text"),
        token_of({"sub": "x", "username": "x", "token_use": "id", "exp": 1}),
        token_of({"sub": "", "username": "x", "token_use": "access", "exp": 1}),
        token_of({"sub": "x", "username": "x", "token_use": "access", "exp": 10**20}),
        token_of({"sub": "x", "username": "x", "token_use": "access", "exp": "soon"}),
        token_of(
            {"sub": "x", "username": "x", "token_use": "access", "exp": 1, "cognito:groups": None}
        ),
        "x.é.y",
        "x.////.y",
    ],
)
def test_a_user_pool_that_answers_nonsense_signs_nobody_in(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    _sign_in(browser)
    _later(browser, monkeypatch, minutes=16)
    user_pool.token = token

    renewed = browser.get("/")
    browser.cookies.pop("__Host-session")
    state = _state(browser)
    returned = browser.get(f"/sign-in/return?code=good&state={state}")

    assert (renewed.status, returned.status) == (401, 401)
    assert browser.get("/").status == 303


def test_roles_count_for_at_most_fifteen_minutes(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_pool.minutes = 24 * 60
    _sign_in(browser)
    user_pool.groups = []
    _later(browser, monkeypatch, minutes=16)

    browser.get("/")

    session_cookie = browser.cookies["__Host-session"]
    assert browser.function.SITE.signer().loads(session_cookie, "session")["g"] == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>", 503),
        (200, b"[]", 503),
        (200, b"{}", 401),
        (302, b"{}", 503),
        (500, b"{}", 503),
        (400, b"<html>", 401),
        (0, b"", 503),  # no connection
    ],
)
def test_a_sign_in_page_that_fails_gets_a_page_that_says_so(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, expected: int
) -> None:
    def request(*_: Any, **__: Any) -> SimpleNamespace:
        if not status:
            raise urllib3.exceptions.ProtocolError("no connection")
        return SimpleNamespace(status=status, data=body)

    logged: list[Exception] = []
    site = replace(browser.function.SITE, log_unavailable=logged.append)
    monkeypatch.setattr(browser.function, "SITE", site)
    monkeypatch.setattr(browser.function, "_HTTP", SimpleNamespace(request=request))
    state = _state(browser)

    answer = browser.get(f"/sign-in/return?code=good&state={state}")

    assert (answer.status, len(logged)) == (expected, expected == 503)
    assert "sign in again" in answer.text


def test_a_page_says_so_when_the_keys_cannot_be_read(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb.example.org")

    browser.sign_in("viewer")
    monkeypatch.setattr(browser.function, "SITE", replace(browser.function.SITE, signer_of=fail))

    assert browser.get("/").status == 503
    assert browser.get("/sign-in").status == 503


def test_signing_out_ends_the_session_here_and_at_the_user_pool(
    browser: Browser, user_pool: UserPool
) -> None:
    _sign_in(browser)
    cookies = dict(browser.cookies)

    answer = browser.submit(browser.get("/"), "/sign-out")

    assert answer.status == 303
    assert urlsplit(answer.location).path == "/logout"
    assert user_pool.revoked == ["r" * 2200]
    browser.cookies = cookies  # as a copy of the cookie would be used
    session_id = browser.function.SITE.signer().loads(cookies["__Host-session"], "session")["i"]
    assert sessions.refresh_token(session_id, browser.function.SITE.now()) == ""


def test_a_changed_cookie_signs_nobody_in(browser: Browser) -> None:
    browser.sign_in("viewer")
    browser.cookies["__Host-session"] = browser.cookies["__Host-session"][:-2] + "xx"

    assert browser.get("/").status == 303


def test_a_poll_without_a_session_gets_401(browser: Browser) -> None:
    assert browser.get("/", x_poll="1").status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
        {"sec-fetch-site": ""},
    ],
)
def test_a_form_of_another_site_is_refused(browser: Browser, headers: dict[str, str]) -> None:
    browser.sign_in("operator")
    fields = browser.get("/").forms["/sign-out"]

    assert browser.post("/sign-out", fields, **headers).status == 403


@pytest.mark.parametrize("csrf", ["", "wrong", None])
def test_a_form_without_this_persons_token_is_refused(browser: Browser, csrf: str | None) -> None:
    browser.sign_in("viewer")
    theirs = browser.get("/").forms["/sign-out"]["csrf"]
    browser.sign_in("operator")

    answer = browser.post("/sign-out", {"csrf": theirs if csrf is None else csrf})

    assert answer.status == 403
    assert browser.get("/").status == 200


def test_a_form_survives_a_new_sign_in_in_between(
    browser: Browser, user_pool: UserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(browser)
    fields = browser.get("/").forms["/sign-out"]
    browser.cookies = {
        name: value for name, value in browser.cookies.items() if "session" not in name
    }

    ended = browser.post("/sign-out", fields | {"reason": "typed <words>"})

    assert ended.status == 401
    assert ended.forms["/sign-out"]["reason"] == "typed <words>"
    assert 'href="/sign-in?to=/signed-in"' in ended.html
    _sign_in(browser, "/signed-in")
    assert "Close this tab" in browser.get("/signed-in").text
    assert browser.submit(ended, "/sign-out").status == 303


def test_last_months_key_is_still_valid(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.sign_in("viewer")
    _later(browser, monkeypatch, days=25)

    assert browser.function.SITE.now().month == 12
    assert browser.get("/").status == 200


def test_everybody_is_signed_out_soon_after_the_keys_are_deleted(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("viewer")
    KeyValueItem(id=f"secret#pages-{browser.function.SITE.now():%Y-%m}").delete()
    _later(browser, monkeypatch, minutes=11)

    signed_out = browser.get("/")
    browser.sign_in("viewer")

    assert signed_out.status == 303
    assert browser.get("/").status == 200


@pytest.mark.parametrize("purpose", ["sign-in", "form", "", "sessionsigner"])
def test_what_is_signed_for_another_purpose_signs_nobody_in(browser: Browser, purpose: str) -> None:
    signer = browser.function.SITE.signer()
    value = signer.loads(browser.sign_in("admin").cookies["__Host-session"], "session")

    for text in (
        signer.dumps(value, purpose),
        signer.signature("x", purpose),
        "x." + signer.signature("x", ""),
    ):
        browser.cookies = {"__Host-session": text}
        assert browser.get("/").status == 303


def test_a_session_is_not_a_state_of_the_sign_in(browser: Browser, user_pool: UserPool) -> None:
    _state(browser)
    session = browser.sign_in("admin").cookies["__Host-session"]

    assert browser.get(f"/sign-in/return?code=good&state={session}").status == 401


def test_a_cookie_without_the_prefix_is_not_read(browser: Browser) -> None:
    browser.cookies = {"session": browser.sign_in("admin").cookies["__Host-session"]}

    assert browser.get("/").status == 303


def test_every_page_has_the_headers_that_keep_it_from_harm(browser: Browser) -> None:
    browser.sign_in("viewer")

    headers = browser.get("/").headers

    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache, private"


def test_a_page_that_has_not_changed_is_not_sent_again(browser: Browser) -> None:
    browser.sign_in("viewer")
    tag = browser.get("/").headers["etag"]

    again = browser.get("/", if_none_match=tag, x_poll="1")

    assert (again.status, again.html) == (304, "")


def test_a_poll_that_finds_nothing_new_is_not_logged(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    browser.sign_in("viewer")
    tag = browser.get("/collections").headers["etag"]
    assert [each.message for each in caplog.records] == ["answered"]
    caplog.clear()

    again = browser.get("/collections", if_none_match=tag, x_poll="1")

    assert again.status == 304
    assert caplog.records == []


def test_a_page_that_is_opened_again_has_new_keys_in_its_forms(browser: Browser) -> None:
    browser.sign_in("operator")
    page = browser.get("/holds")

    again = browser.get("/holds", if_none_match=page.headers["etag"])

    assert again.status == 200
    assert page.forms["/holds"]["key"] != again.forms["/holds"]["key"]


def test_an_unknown_address_says_so(browser: Browser) -> None:
    browser.sign_in("viewer")

    assert browser.get("/nothing/here").status == 404
    assert browser.post("/", browser.get("/").forms["/sign-out"]).status == 405


def test_a_static_file_is_kept_for_good_at_the_address_of_its_content(browser: Browser) -> None:
    browser.sign_in("viewer")
    address = browser.get("/").html.partition('stylesheet" href="/static/')[2].partition('"')[0]

    kept = browser.get(f"/static/{address}")
    other = browser.get("/static/0000/app.css")

    assert "immutable" in kept.headers["cache-control"]
    assert (other.status, other.headers["cache-control"]) == (200, "no-cache")
    assert kept.headers["content-type"] == "text/css"


@pytest.mark.parametrize(
    "name", ["x/../handler.py", "x/%2e%2e/handler.py", "x//etc/passwd", "", "x/", "x/nothing.css"]
)
def test_nothing_else_is_served_as_a_file(browser: Browser, name: str) -> None:
    assert browser.get(f"/static/{name}").status == 404
