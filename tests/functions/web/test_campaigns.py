"""What the pages show of campaigns: the task as a job, what people did, and holds."""

import pytest

from tests.functions.api.api_client import Api
from tests.functions.api.campaign_requests import campaign_request
from tests.functions.web.browser import Browser


@pytest.fixture
def campaign(browser: Browser) -> str:
    """A paused campaign."""
    from api import handler

    api = Api(handler.handler)
    campaign_id = str(api.post("/campaigns", campaign_request()).json["campaign_id"])
    assert api.post(f"/campaigns/{campaign_id}/pause", {"reason": "moving"}).status == 200
    return campaign_id


def test_a_task_is_shown_as_a_job(browser: Browser, campaign: str) -> None:
    browser.sign_in("viewer")

    page = browser.get(f"/jobs/{campaign}.0.0")

    assert page.status == 200
    for text in ("gw-1", "gw-1.example.org", "reach", "verify", "Scheduled"):
        assert text in page.text
    assert "/batches/" not in page.html


@pytest.mark.parametrize("path", ["/", "/activity", "/holds"])
def test_acts_and_holds_of_campaigns_are_shown(browser: Browser, campaign: str, path: str) -> None:
    browser.sign_in("operator")

    page = browser.get(path)

    assert page.status == 200
    assert campaign in page.html or "Gateways to 4.2.0" in page.html
    assert f'href="/campaigns/{campaign}"' not in page.html
