"""Objects and the search on the pages."""

import json

import boto3
import pytest

from jobyard.jobtypes.deposit.keys import version_key
from jobyard.store import objects
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser
from tests.tables import REGION

ARK = "ark:/13030/m5a"
AT = "/objects/ark-13030-m5a"


def test_an_object_is_found_by_its_ark_and_by_its_local_identifier(browser: Browser) -> None:
    a_version(ARK)
    objects.identify("maps", ["box/1"], ARK)
    browser.sign_in("viewer")

    for query in (
        "ark=ark:13030/m5-a",
        f"ark=https://n2t.net/{ARK}",
        "collection=maps&local=box/1",
    ):
        assert browser.get(f"/objects?{query}").location == AT
    page = browser.get(AT)
    assert page.status == 200
    for text in (ARK, "maps", "Version 1", "Files"):
        assert text in page.text


def test_the_page_of_a_job_leads_to_the_object_that_it_deposited(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    done = a_job(batch, 0, "succeeded", data={"ark": ARK})
    undone = a_job(batch, 1, "failed", data={"ark": ARK})
    browser.sign_in("viewer")

    pages = [browser.get(f"/jobs/{each.address.job_id}").html for each in (done, undone)]

    assert [f'href="{AT}"' in page for page in pages] == [True, False]
    assert [page.count(f"{ARK}<") for page in pages] == [1, 1]


def test_a_file_is_downloaded_by_a_link_of_s3(browser: Browser) -> None:
    version = a_version(ARK)
    key = version_key(ARK, version.version)
    body = boto3.client("s3", region_name=REGION).get_object(Bucket="archive", Key=key)["Body"]
    name = json.loads(body.read())["files"][0]["name"]
    browser.sign_in("viewer")

    answer = browser.get(f"{AT}/download?version={version.version}&name={name}")

    assert answer.status == 303
    assert "archive" in answer.location
    assert "attachment" in answer.location


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/objects?ark=no+ark", 422),
        ("/objects?ark=ark:/13030/other", 404),
        (f"{AT}?version=9", 404),
        (f"{AT}?version=x", 404),
        (f"{AT}/download?version=1&name=../../etc/passwd", 404),
        (f"{AT}/download", 404),
    ],
)
def test_a_missing_object_or_file_is_not_found(browser: Browser, address: str, status: int) -> None:
    a_version(ARK)
    browser.sign_in("viewer")

    assert browser.get(address).status == status


def test_what_was_looked_for_in_vain_is_kept(browser: Browser) -> None:
    browser.sign_in("viewer")

    page = browser.get("/objects?ark=no+ark")

    assert "'no ark' is not an ark" in page.text.replace("&#39;", "'")
    assert 'value="no ark"' in page.html


def test_a_person_without_rights_to_the_collection_sees_no_object(browser: Browser) -> None:
    a_version(ARK, collection="secret")
    browser.sign_in("depositor")

    assert browser.get(AT).status == 404


def test_an_id_leads_straight_to_what_it_names(browser: Browser) -> None:
    batch = a_batch("failed")
    browser.sign_in("viewer")

    assert browser.get(f"/find?q={batch.batch_id}").location == f"/batches/{batch.batch_id}"
    assert browser.get(f"/find?q=%20{batch.batch_id}%20").status == 303


def test_a_text_finds_names_and_says_what_was_not_searched(browser: Browser) -> None:
    a_batch("failed", filename="harbour-charts.checkm")
    schedule = a_schedule()
    browser.sign_in("admin")

    page = browser.get("/find?q=charts")
    titles = browser.get("/find?q=sweep")

    assert "harbour-charts.checkm" in page.text
    assert "What was not searched" in page.text
    assert f'href="/schedules/{schedule.schedule_id}"' in titles.html


@pytest.mark.parametrize("text", ["", "%20", "x" * 301, "%00", "%F0%9F%98%80", "b" + "a" * 20])
def test_any_text_can_be_searched_for(browser: Browser, text: str) -> None:
    browser.sign_in("viewer")

    assert browser.get(f"/find?q={text}").status == 200


def test_a_search_finds_nothing_that_the_person_may_not_see(browser: Browser) -> None:
    batch = a_batch("failed", filename="private.checkm")
    schedule = a_schedule()
    browser.sign_in("depositor", name="somebody-else")

    for text in (batch.batch_id, "private", schedule.schedule_id, "sweep"):
        page = browser.get(f"/find?q={text}")
        assert page.status == 200
        assert "Nothing was found" in page.text
