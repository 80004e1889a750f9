"""The pages of webhooks: an admin creates one, sees its secret once, rotates it, and redelivers."""

import re

import pytest

from tests.functions.api.batch_records import a_batch, a_delivery
from tests.functions.web.browser import Browser, Page
from tests.people import sub_of

URL = "https://hooks.example.org/jobyard?token=t0ken"
EVENTS = ["batch.ended.v1", "campaign.ended.v1"]


def create(browser: Browser, **fields: object) -> Page:
    """Fill in the form of a new webhook, as an admin."""
    browser.sign_in("admin")
    form = browser.get("/webhooks").forms["/webhooks"]
    wanted = {"name": "ours", "url": URL, "events": EVENTS, "reason": "they asked"} | fields
    return browser.post("/webhooks", {"csrf": form["csrf"], "key": form["key"], **wanted})


def send(browser: Browser, event: str, **fields: object) -> Page:
    """Send a form of the webhook's page."""
    form = browser.get("/webhooks/ours").forms[f"/webhooks/ours/{event}"]
    return browser.post(f"/webhooks/ours/{event}", form | {"reason": "because"} | fields)


def secrets_in(page: Page) -> set[str]:
    return set(re.findall(r"whsec_[A-Za-z0-9+/=]+", page.html))


def test_the_secret_of_a_new_webhook_is_shown_once(browser: Browser) -> None:
    browser.sign_in("admin")
    before = browser.get("/webhooks").text
    created = create(browser)

    later = [browser.get(each) for each in ("/webhooks", "/webhooks/ours")]

    assert "No webhook yet" in before
    assert (created.status, len(secrets_in(created))) == (200, 1)
    assert [(each.status, secrets_in(each)) for each in later] == [(200, set())] * 2
    assert "No delivery yet" in later[1].text
    assert all("t0ken" not in each.html for each in later)  # nor the secret in its URL


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://hooks.example.org/"}, "URL"),
        ({"url": "https://10.0.0.1/"}, "URL"),
        ({"name": "Not a name"}, "A webhook's name has up to 40"),
        ({"events": []}, "Choose at least one event"),
        ({"collections": "maps, a/b"}, "Name up to 50 collections"),
        ({"reason": ""}, "needs a reason"),
    ],
)
def test_a_refused_form_says_why_and_keeps_what_was_typed(
    browser: Browser, fields: dict[str, object], words: str
) -> None:
    refused = create(browser, **fields)

    assert (refused.status, words in refused.alert) == (422, True)
    assert "they asked" in refused.html or fields == {"reason": ""}
    assert "/webhooks/ours" not in browser.get("/webhooks").html


def test_a_rotation_shows_the_new_secret_and_that_both_sign(browser: Browser) -> None:
    (first,) = secrets_in(create(browser))

    rotated = send(browser, "rotate_secret", overlap_hours="24")
    odd = send(browser, "rotate_secret", overlap_hours="soon", reason="typed words")

    (second,) = secrets_in(rotated)
    assert second != first
    assert "The former secret signs as well until" in rotated.text
    assert "Two secrets sign its deliveries" in browser.get("/webhooks/ours").text
    assert (odd.status, "Choose how long" in odd.alert) == (422, True)
    assert odd.html.count("typed words") == 1


def test_a_webhook_is_changed_disabled_enabled_and_deleted(browser: Browser) -> None:
    create(browser)

    form = browser.get("/webhooks/ours").forms["/webhooks/ours/update"]
    assert "t0ken" not in form["url"]
    changed = send(browser, "update", url=form["url"], events=EVENTS[:1], collections="maps")
    stored = browser.get("/webhooks/ours").text
    disabled = send(browser, "disable")
    off = browser.get("/webhooks/ours").text
    enabled = send(browser, "enable")
    deleted = send(browser, "delete")

    assert [each.location for each in (changed, disabled, enabled, deleted)] == [
        *["/webhooks/ours"] * 3,
        "/webhooks",
    ]
    assert "campaign.ended.v1" not in stored
    assert "This webhook is disabled" in off
    assert browser.get("/webhooks/ours").status == 404
    assert "No webhook yet" in browser.get("/webhooks").text


def test_a_failed_delivery_is_redelivered_from_the_page(browser: Browser) -> None:
    create(browser)
    delivery = a_delivery(a_batch("failed").batch_id, "ours")
    address = f"/webhooks/ours/deliveries/{delivery}/redeliver"

    page = browser.get("/webhooks/ours")
    sent = browser.submit(page, address, reason="it is back")
    after = browser.get("/webhooks/ours")

    assert "it answered 503" in page.text
    assert sent.location == "/webhooks/ours"
    assert address not in after.forms
    assert "It is pending already." in after.text


@pytest.mark.parametrize("role", ["viewer", "operator", "depositor"])
def test_only_admins_see_webhooks_and_change_them(browser: Browser, role: str) -> None:
    create(browser)
    browser.sign_in(role)

    addresses = ("/webhooks", "/webhooks/ours", "/webhooks/none")
    seen = {browser.get(each).status for each in addresses}
    csrf = browser.function.SITE.signer().signature(sub_of(role), "form")
    events = (
        "",
        "/ours/update",
        "/ours/disable",
        "/ours/rotate_secret",
        "/ours/deliveries/x/redeliver",
    )
    tried = {
        browser.post(f"/webhooks{each}", {"csrf": csrf, "reason": "x", "overlap_hours": "1"}).status
        for each in events
    }

    assert (seen, tried) == ({403}, {403})
    assert "Webhooks" not in browser.get("/").text
