"""What people do on the pages of the deployed stack, in a real browser, from signing in to the end.

The sign-in page and S3 are on another origin than the pages, as on AWS.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Response, expect

from cli.local import voters
from cli.local.demo_users import PASSWORD
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack
from tests.browser.tabs import MAX_BYTES, Tabs
from tests.harness import Payloads, serving, single_files
from tests.live.api_user import ApiUser

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
VOTERS = 27
SWEEP = (ROOT / "examples" / "voters" / "sweep.json").read_text()
BYTES = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
  .reduce((sum, each) => sum + each.transferSize, 0)"""
Visit = Callable[..., Page]
UserOfRole = Callable[[str], ApiUser]


@pytest.fixture
def visit(platform: Emulator, stack: Stack, chromium: Chromium) -> Iterator[Visit]:
    """Opens an address in a tab of a person, who signs in first. The person has the role's name.

    The page that they get has to be small, and no page may log an error.
    """
    tabs = Tabs(chromium)

    def visited(role: str, address: str, **how: Any) -> Page:
        page = tabs.open(**how)
        page.goto(platform.web_url + address)
        assert page.url.startswith(platform.endpoint)
        page.get_by_label("Username").fill(role)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(platform.web_url + address)
        page.wait_for_load_state()
        assert page.evaluate(BYTES) < MAX_BYTES
        return page

    yield visited
    tabs.close()
    assert tabs.errors == []


@pytest.fixture(scope="module")
def failed_batch(api_user: UserOfRole, files_port: int) -> str:
    """The path of a batch of three files, of which the last could not be fetched."""
    admin = api_user("admin")
    with serving(files_port) as payloads:
        batch_id = admin.submit(_broken(payloads), filename="june.checkm")
        admin.await_state(f"/api/batches/{batch_id}", "failed")
    return f"/batches/{batch_id}"


def _broken(payloads: Payloads) -> str:
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    return manifest


def test_a_depositor_corrects_a_manifest_sees_one_file_fail_and_downloads_another(
    visit: Visit, payloads: Payloads, tmp_path: Path
) -> None:
    corrected, wrong = tmp_path / "may.checkm", tmp_path / "wrong.checkm"
    corrected.write_text(_broken(payloads))
    wrong.write_text(corrected.read_text().replace(payloads.url, "ftp://files.example.org", 1))
    page = visit("depositor", "/batches/new?collection=maps")

    page.get_by_label("Drop a manifest here").set_input_files(wrong)
    expect(page.get_by_text("Line 6, column 1")).to_be_visible()
    expect(page.get_by_text(re.compile(r"wrong\.checkm, [0-9.]+ (bytes|kB)"))).to_be_visible()
    page.get_by_label("Drop a manifest here").set_input_files(corrected)
    expect(page.get_by_text("No errors")).to_be_visible()
    page.get_by_role("button", name="Send the manifest").click()

    expect(page).to_have_url(re.compile(r"/batches/b[a-z0-9]{20}\b"))
    expect(page.get_by_role("heading", name="may.checkm")).to_be_visible()
    expect(page.get_by_role("link", name="1 PAYLOAD_NOT_FOUND")).to_be_visible()
    page.get_by_role("link", name="2 Completed").click()
    page.get_by_role("link", name="a.txt").click()
    page.get_by_role("link", name="ark:").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download a.txt").click()
    assert downloading.value.path().read_bytes() == b"one"


def test_an_administrator_schedules_over_a_clock_change_runs_and_suspends(
    visit: Visit, aws: Callable[[str], Any]
) -> None:
    _put_voters(aws("dynamodb"))
    forward = _clocks_go_forward(datetime.now(UTC).year + 1)
    first = forward - timedelta(days=2)
    page = visit("admin", "/job-management", timezone_id="Asia/Tokyo")
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("Title").fill("Nightly sweep")
    page.get_by_label("Job type").select_option("Sweep")
    page.get_by_label("At", exact=True).fill("02:30")
    page.get_by_label("Time zone").fill("America/Los_Angeles")
    page.get_by_label("First day").fill(first.isoformat())
    page.get_by_label("Parameters").fill(json.dumps(json.loads(SWEEP)))

    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text(f"Sun {forward} 03:00 PDT")).to_be_visible()
    expect(page.get_by_text("Clocks go forward").first).to_be_visible()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text(f"{first} 19:30:00 JST").first).to_be_visible()

    _send(page, "Run now", "before it moves")
    run = page.get_by_role("row").filter(has_text="before it moves")
    expect(run).to_contain_text("manual by admin")
    expect(run).to_contain_text("Completed")
    processed = run.locator("[data-label=Records]").inner_text()
    assert int(processed.replace(",", "")) >= VOTERS  # other tests may have left some
    _send(page, "Suspend", "the table moves")
    expect(page.get_by_text("suspended by admin: the table moves").first).to_be_visible()
    expect(page.get_by_text("Number of Records processed")).to_be_visible()


def test_a_viewer_sees_and_changes_nothing_and_signs_out(
    visit: Visit, failed_batch: str, api_user: UserOfRole, platform: Emulator
) -> None:
    viewer = api_user("viewer")
    before = viewer.get(f"/api{failed_batch}")["state"]
    page = visit("viewer", failed_batch)
    expect(page.get_by_role("heading", name="june.checkm")).to_be_visible()
    page.get_by_role("button", name="Delete").click(force=True)
    expect(page.get_by_text("only an admin may delete a batch")).to_be_visible()

    refused = _forge(page, failed_batch, csrf=page.locator("[name=csrf]").first.input_value())
    untrusted = _forge(page, failed_batch, csrf="")

    assert (refused["status"], untrusted["status"]) == (403, 403)
    assert "Only an admin may delete a batch" in refused["text"]
    assert viewer.get(f"/api{failed_batch}")["state"] == before
    page.reload()
    page.get_by_role("button", name="Account of viewer").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{platform.web_url}/signed-out")
    page.goto(platform.web_url + failed_batch)
    assert page.url.startswith(platform.endpoint)


def test_a_page_that_somebody_uploaded_cannot_send_a_form_as_an_admin(
    visit: Visit, failed_batch: str, api_user: UserOfRole, stack: Stack, aws: Callable[[str], Any]
) -> None:
    admin, s3 = api_user("admin"), aws("s3")
    before = admin.get(f"/api{failed_batch}")["state"]
    page = visit("admin", failed_batch)
    csrf = page.locator("[name=csrf]").first.input_value()
    hidden = {"csrf": csrf, "key": "forged", "reason": "x"}
    fields = "".join(f'<input name="{name}" value="{value}">' for name, value in hidden.items())
    form = f'<form method="post" action="{page.url}/delete">{fields}<button>Win</button></form>'
    place = {"Bucket": stack.work_bucket, "Key": "form.html"}
    s3.put_object(**place, Body=form.encode(), ContentType="text/html")

    page.goto(s3.generate_presigned_url("get_object", Params=place))
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name="Win").click()

    answer = navigation.value
    assert isinstance(answer, Response)
    assert answer.status == 403
    assert admin.get(f"/api{failed_batch}")["state"] == before


def test_an_operator_sees_why_and_requeues_and_an_admin_updates_the_report(
    visit: Visit, failed_batch: str, payloads: Payloads
) -> None:
    page = visit("operator", f"{failed_batch}/jobs?state=failed")
    page.get_by_role("link", name="c.txt").click()
    expect(page.get_by_text("404").first).to_be_visible()
    single_files(payloads, THREE)

    page.goto(page.url.partition("/jobs/")[0] + failed_batch)
    page.get_by_role("button", name="Requeue these").click()
    page.get_by_label("Reason").fill("the file is back")
    page.get_by_role("button", name="Requeue 1 job").click()
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="c.txt")).to_contain_text("Completed")

    page = visit("admin", failed_batch)
    _send(page, "Update reporting", "repaired")
    expect(page.get_by_role("link", name="Completed", exact=True)).to_be_visible()
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("link", name="What changed").click()
    changed = page.get_by_role("row").filter(has_text="c.txt")
    expect(changed).to_contain_text(re.compile("Failed.*Completed", re.DOTALL))


def _send(page: Page, event: str, reason: str) -> None:
    """Send an event with a reason, as the buttons of a page do."""
    page.get_by_role("button", name=event, exact=True).click()
    form = page.get_by_role("dialog", name=event)
    form.get_by_label("Reason").fill(reason)
    form.get_by_role("button", name=event, exact=True).click()


def _forge(page: Page, path: str, csrf: str) -> dict[str, Any]:
    """Send the form that deletes a batch, which the page does not have."""
    script = """async ([address, csrf]) => {
      const body = new URLSearchParams({csrf, key: "forged", seen: "1", reason: "to try"});
      const answer = await fetch(address, {method: "POST", body});
      return {status: answer.status, text: await answer.text()};
    }"""
    answer: dict[str, Any] = page.evaluate(script, [f"{path}/delete", csrf])
    return answer


def _put_voters(dynamodb: Any) -> None:
    """Put a few voters into the example's table whose confidential status has expired."""
    voters.ensure_table(dynamodb)
    today = datetime.now(voters.ZONE).date()
    due = (each for each in voters.voters(today) if _expiry(each) < f"{today}")
    for voter in islice(due, VOTERS):
        dynamodb.put_item(TableName=voters.TABLE, Item=voter)


def _expiry(voter: dict[str, Any]) -> str:
    """The day on which a voter's confidential status ends; after all days for those without."""
    return str(voter.get("expires_on", {}).get("S", "9"))


def _clocks_go_forward(year: int) -> date:
    """The second Sunday of March."""
    eighth = date(year, 3, 8)
    return eighth + timedelta(days=6 - eighth.weekday())
