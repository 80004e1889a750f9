"""The home page: the picture of the rates."""

from datetime import timedelta

from jobyard.services.rates import sample_rates
from tests.functions.api.api_client import NOW
from tests.functions.web.browser import Browser

MINUTE = timedelta(minutes=1)


def test_deployments_are_marked_in_the_picture_and_the_latest_three_named(browser: Browser) -> None:
    for number in range(5):
        sample_rates(3, NOW - (30 - number) * MINUTE, f"0.2.0+{number}")
    browser.sign_in("viewer")

    first, shared = browser.get("/"), browser.get("/")

    for page in (first, shared):  # the second is made of what the first has stored
        assert page.html.count('class="deploy"') == 4
        for number in (2, 3, 4):
            assert f'<span class="deployed">0.2.0+{number} deployed ' in page.html
        assert page.html.count('<span class="deployed">') == 3
        assert page.html.count("0.2.0+1") == 1  # in the title of the picture only
