"""The story of an edit job in a real browser: a planner, a worker and a reviewer are signed in, a
custodian is not.
"""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from jobyard.domain.datasets.rules import read_rules
from jobyard.domain.ids import edit_id_of
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import datasets, edits
from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.web.edit_machine import run_machine
from tests.functions.web.edit_records import (
    ALAMEDA,
    TEAM,
    a_dataset,
    a_team,
    counties,
    link_of,
    somebody_names,
)

JOB = "Repair the border"
SHORT_NAMES = {"properties": {"name": {"type": "string", "maxLength": 14}}}


@pytest.fixture
def dataset(site: Site) -> str:
    """The counties of California, with a team that works on them."""
    pages = site.browser.function.SITE
    a_team()
    return a_dataset(DatasetContext(pages.settings, pages.s3, pages.now)).name


def _send(page: Page, site: Site, name: str, body: bytes) -> None:
    """Choose a file and press Send. The body of a form with a file is not shown to routes, so the
    file is stored here, and S3's answer leads back to the page.
    """
    pages = site.browser.function.SITE
    key = page.locator("#send-edits [name=key]").input_value().replace("${filename}", name)
    back = page.locator("#send-edits [name=success_action_redirect]").input_value()
    pages.s3.put_object(Bucket=pages.settings.intake_bucket, Key=key, Body=body)

    def answer(route: Route) -> None:
        route.fulfill(status=303, headers={"Location": f"{back}?bucket=intake&key={key}"})

    page.route("https://intake.**", answer)
    file: FilePayload = {"name": name, "mimeType": "text/plain", "buffer": body}
    page.set_input_files("#file", file)
    _press(page, "Send")


def _download(page: Page) -> None:
    """Press Download, and get a file where the pages lead to S3. Routes see no redirect, so the
    answer with the address is fetched here.
    """
    file = {"Content-Disposition": 'attachment; filename="package.zip"'}

    def answer(route: Route) -> None:
        found = route.fetch(max_redirects=0)
        assert "X-Amz-Signature" in found.headers["location"]
        route.fulfill(headers=file, body="a zip")

    page.route("**/download?**", answer)
    with page.expect_download():
        _press(page, "Download")


def _press(page: Page, name: str) -> None:
    page.locator("main").get_by_role("button", name=name, exact=True).first.click()


def _draw_box(page: Page) -> None:
    """Drag a box over the middle of the map."""
    box = page.locator("svg.map").bounding_box()
    assert box
    x, y, width, height = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(x + width * 0.42, y + height * 0.40)
    page.mouse.down()
    page.mouse.move(x + width * 0.50, y + height * 0.55)
    page.mouse.up()


# The ids of three features that are under their own middles.
_CLICKABLE = """() => [...document.querySelectorAll("svg.map path.feature")].filter((path) => {
  const box = path.getBoundingClientRect();
  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === path;
}).slice(0, 3).map((path) => path.querySelector("title").textContent)"""


def _draw_polygon(page: Page) -> None:
    """Click three places of the map, then one more."""
    svg = page.locator("svg.map")
    box = svg.bounding_box()
    assert box
    for x, y in ((0.40, 0.40), (0.55, 0.40), (0.55, 0.60), (0.40, 0.60)):
        svg.click(position={"x": box["width"] * x, "y": box["height"] * y})


def _extent_of(site: Site, page: Page) -> Any:
    """The extent of the edit job whose page is shown."""
    return edits.get(_job_id(page)).extent.document()


def _job_id(page: Page) -> str:
    """The id of the edit job whose page is shown."""
    return page.url.rpartition("/")[2]


def test_an_extent_is_drawn_as_a_polygon_and_chosen_as_features(
    open_page: Open, site: Site, dataset: str
) -> None:
    page = open_page("planner", f"/edits/new?dataset={dataset}")
    page.get_by_label("A polygon").check()
    page.locator("svg.map").scroll_into_view_if_needed()
    _draw_polygon(page)
    vertices = page.get_by_label("Vertices").input_value().splitlines()
    assert len(vertices) == 4
    expect(page.locator("svg.map path.drawing")).to_have_attribute("d", re.compile("^M.*z$"))
    _press(page, "Propose")
    expect(page.get_by_role("button", name="Allocate")).to_be_visible()
    drawn = _extent_of(site, page)["polygon"]
    typed = [[float(text) for text in line.split()] for line in vertices]
    assert [*map(tuple, drawn)] == [*map(tuple, typed)]

    page = open_page("planner", f"/edits/new?dataset={dataset}")
    page.get_by_label("Features", exact=True).check()
    page.locator("svg.map").scroll_into_view_if_needed()
    first, second, third = page.evaluate(_CLICKABLE)
    for each in (first, second, second, third):
        page.locator("svg.map path.feature", has=page.locator(f'title:text-is("{each}")')).click()
    expect(page.locator("svg.map path.feature.chosen")).to_have_count(2)
    ids = page.locator("[name=features]").input_value().splitlines()
    assert ids == [first, third]
    _press(page, "Propose")
    expect(page.get_by_role("button", name="Allocate")).to_be_visible()
    assert _extent_of(site, page) == {"features": ids}


def _claim(page: Page, site: Site, title: str) -> None:
    """Choose a job of the worklist, activate it and download its package."""
    page.goto(f"{site.url}/worklist")
    page.get_by_role("link", name=title, exact=True).click()
    expect(page.locator("#panel")).to_contain_text(title.rpartition(" - ")[2].partition(" ")[0])
    _press(page, "Activate")
    expect(page.locator("#panel")).to_contain_text("Activated")
    run_machine(site.browser)
    page.reload()
    _download(page)
    page.reload()


def _upload(page: Page, site: Site, name: str) -> None:
    """Upload another name of Alameda to the job that was claimed."""
    page.locator("#panel").get_by_role("link", name="Upload").click()
    document = counties()[ALAMEDA].document() | {"properties": {"name": name}}
    edited = {"type": "FeatureCollection", "features": [document]}
    _send(page, site, "edits.geojson", json.dumps(edited).encode())
    page.get_by_label("Comment").fill("the official name")
    page.get_by_label("Time spent").fill("15")
    _press(page, "Upload")
    expect(page.get_by_text("The file is being read").first).to_be_visible()
    run_machine(site.browser)
    page.reload()
    expect(page.get_by_text("Accepted: 1 change")).to_be_visible()


def _decide(page: Page, site: Site, decision: str, comment: str) -> None:
    """Decide the review that was claimed."""
    page.locator("#panel").get_by_role("link", name="Decide").click()
    expect(page.locator("svg.map")).to_be_visible()
    page.get_by_label("Comment").fill(comment)
    _press(page, decision)
    expect(page.locator("#decide")).to_have_count(0)
    run_machine(site.browser)


def test_a_border_is_planned_drawn_edited_reviewed_and_committed(
    open_page: Open, site: Site, dataset: str
) -> None:
    rules = read_rules([{"rule": "schema", "schema": SHORT_NAMES}])
    changed = {"rules": rules.documents, "rules_version": rules.version}
    datasets.put_settings(datasets.get(dataset).with_settings(**changed))
    planner = open_page("planner", f"/edits/new?dataset={dataset}")
    planner.get_by_label("Name", exact=True).first.fill(JOB)
    planner.get_by_label("Type").select_option("border")
    planner.get_by_text("Ask data custodians for attachments").click()
    planner.locator("[name=custodian_0]").fill("Rosa Vale")
    planner.locator("[name=email_0]").fill("rosa@example.org")
    planner.locator("[name=description_0]").fill("The plan of the border")
    planner.locator("svg.map").scroll_into_view_if_needed()
    _draw_box(planner)
    expect(planner.get_by_label("West")).not_to_have_value("")
    planner.get_by_label("A polygon").check()
    planner.get_by_label("Vertices").fill("-122.5 37.3\n-121.3 37.3\n-121.3 38\n-122.5 38")
    _press(planner, "Propose")
    expect(planner.get_by_role("heading", name=JOB)).to_be_visible()
    planner.get_by_label("Team").select_option(TEAM)
    _press(planner, "Allocate")
    expect(planner.get_by_text("Blocked").first).to_be_visible()

    custodian = open_page("", link_of(site.browser, edits.get(_job_id(planner))))
    expect(custodian.get_by_text("The plan of the border")).to_be_visible()
    _send(custodian, site, "plan.pdf", b"the plan")
    custodian.get_by_role("button", name="Submit").click()
    expect(custodian.get_by_text("Your file was received").first).to_be_visible()
    planner.reload()
    expect(planner.get_by_text("a worker of team borders").first).to_be_visible()
    expect(planner.get_by_text("plan.pdf")).to_be_visible()

    worker = open_page("worker", "/")
    _claim(worker, site, JOB)
    _upload(worker, site, "Alameda, a county of many bays")
    worker.get_by_role("link", name="Continue").click()
    expect(worker.get_by_role("heading", name="1 failure")).to_be_visible()
    _claim(worker, site, f"{JOB} - VALIDATION 1")
    _upload(worker, site, "County Alameda")

    reviewer = open_page("reviewer", "/")
    _claim(reviewer, site, f"{JOB} - QUARANTINE_REVIEW 1")
    _decide(reviewer, site, "Corrections required", "County comes last")
    _claim(worker, site, f"{JOB} - QUARANTINE_CORRECTIONS 1")
    worker.goto(f"{site.url}/edits/{edits.get(_job_id(planner)).open_child}")
    expect(worker.locator("#findings")).to_contain_text("County comes last")
    worker.go_back()
    _upload(worker, site, "Alameda County")
    pages = site.browser.function.SITE
    files = DatasetContext(pages.settings, pages.s3, pages.now)
    somebody_names(ALAMEDA, "Alameda Co.", edit_id_of(b"another"), files)
    _claim(reviewer, site, f"{JOB} - QUARANTINE_REVIEW 2")
    _decide(reviewer, site, "Approve", "as it should be")

    _claim(worker, site, f"{JOB} - CONFLICT 1")
    worker.locator("#panel").get_by_role("link", name="Decide").click()
    versions = worker.get_by_role("row", name="name differs")
    expect(versions.get_by_role("cell")).to_have_text(["Alameda", "Alameda County", "Alameda Co."])
    worker.get_by_label("Mine", exact=True).check()
    _press(worker, "Send the decisions")
    expect(worker.get_by_text("The file is being read").first).to_be_visible()
    run_machine(site.browser)

    planner.reload()
    expect(planner.get_by_text("Completed").first).to_be_visible()
    planner.get_by_role("link", name="Changes").first.click()
    expect(planner.get_by_text("Alameda County")).to_be_visible()
    assert datasets.get(dataset).revision == 3
