"""Signing in over two sites, in a real browser."""

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from tests.browser.site_server import Site, sign_in_page


def test_a_person_signs_in_over_two_sites_and_gets_the_page_they_wanted(
    site: Site, chromium: Chromium
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    with sign_in_page(site) as other_site:
        page.goto(f"{site.url}/holds")
        assert page.url.startswith(other_site)

        page.get_by_role("button", name="Sign in").click()

        expect(page).to_have_url(f"{site.url}/holds")
        expect(page.get_by_role("heading", name="Holds", exact=True)).to_be_visible()
        (cookie,) = [each for each in context.cookies() if each["name"] == "session"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    context.close()


def test_signing_out_ends_the_session_in_the_browser(site: Site, chromium: Chromium) -> None:
    context = chromium.new_context()
    page = context.new_page()
    with sign_in_page(site) as other_site:
        page.goto(f"{site.url}/holds")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Account of anna").click()

        page.get_by_role("button", name="Sign out").click()

        expect(page).to_have_url(f"{site.url}/signed-out")
        assert [each for each in context.cookies() if each["name"] == "session"] == []
        page.goto(f"{site.url}/holds")
        assert page.url.startswith(other_site)
    context.close()
