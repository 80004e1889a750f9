"""The home page: what is wrong and where one sees it, counts, rates, and what limits jobs."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from jobyard import jobtypes
from jobyard.domain.activity import Act, Subject
from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import LATE_AFTER, Delivery, DeliveryState
from jobyard.domain.campaigns.leases import Lease
from jobyard.domain.hold import Hold
from jobyard.domain.ids import batch_id_of, schedule_id_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.rates import JobTotals
from jobyard.domain.schedules.schedule import LatestRun
from jobyard.jobtypes import DEVICE_UPDATE
from jobyard.services.queries import overview as overview_queries
from jobyard.services.rates import sample_rates
from jobyard.store import activity, holds, leases, rates, schedules
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, a_report, a_report_of
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.schedule_records import DAILY, a_schedule, minute, work
from tests.functions.web.browser import Browser, Page
from tests.people import sub_of

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EACH_DAY = DAILY | {"anchor": "2026-11-01"}
LATE = Delivery(DeliveryState.QUEUED, NOW - 2 * LATE_AFTER)


def main_of(page: Page) -> str:
    """The main part of a page."""
    return page.html[page.html.index("<main") :].partition("</main>")[0]


def words_of(html: str) -> str:
    """The text of a piece of a page, in one line."""
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def links_of(page: Page) -> dict[str, str]:
    """The words of the links in the main part of a page, by address."""
    found = re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>(.*?)</a>', main_of(page), re.DOTALL)
    return {unescape(address): words_of(words) for address, words in found}


def rows_of(page: Page) -> list[str]:
    """The text of each row of the tables in the main part of a page, without their headings."""
    rows = re.findall(r"<tr[ >].*?</tr>", main_of(page), re.DOTALL)
    return [words_of(row) for row in rows if "<td" in row and "<th" not in row]


def problems_on(page: Page) -> dict[str, str]:
    """The addresses of what needs attention, by their words."""
    alert = main_of(page).partition("Something needs attention")[2].partition("</ul>")[0]
    found = re.findall(r'<a href="([^"]+)">(.*?)</a>', alert)
    return {words: unescape(address) for address, words in found}


def a_failing_batch(number: int = 1, state: str = "failed", **changes: Any) -> Batch:
    """A batch of which `number` jobs failed, and one has not run."""
    batch = a_batch(state, entries=number + 1, **changes)
    for each in range(number):
        a_job(batch, each, "failed")
    return batch


def wait(browser: Browser, how_long: timedelta = MINUTE) -> None:
    """Let the overview become too old."""
    clock: Any = browser.function.SITE.now.__self__
    clock.now += how_long


def test_the_failed_jobs_of_one_batch_are_one_link_away(browser: Browser) -> None:
    batch = a_failing_batch(2, "processing")

    problems = problems_on(browser.sign_in("viewer").get("/"))

    address = f"/batches/{batch.batch_id}/jobs?state=failed"
    assert problems == {"2 failed jobs in 1 batch": address}
    assert len(rows_of(browser.get(address))) == 2


def test_the_failed_jobs_of_several_batches_lead_to_all_of_these(browser: Browser) -> None:
    made = [a_failing_batch(n, state) for n, state in ((1, "processing"), (2, "failed"))]

    address = problems_on(browser.sign_in("viewer").get("/"))["3 failed jobs in 2 batches"]
    page = browser.get(address)

    assert page.status == 200
    assert len(rows_of(page)) == 2
    for number, batch in enumerate(made, 1):
        assert links_of(page)[f"/batches/{batch.batch_id}/jobs?state=failed"] == f"{number}"
    assert "only the newest" not in page.text


def test_a_failure_code_leads_to_all_its_batches_each_with_its_requeue(browser: Browser) -> None:
    made = [a_failing_batch() for _ in range(5)]
    forms = {f"/batches/{each.batch_id}/operations" for each in made}

    home = browser.sign_in("operator").get("/")
    page = browser.get("/failures?code=PAYLOAD_NOT_FOUND")

    assert "5 PAYLOAD_NOT_FOUND in 5 batches" in home.text
    assert links_of(home)["/failures?code=PAYLOAD_NOT_FOUND"] == "and 2 more batches"
    assert len(forms & {*home.forms}) == 3
    assert forms <= {*page.forms}
    (form,) = {page.forms[each]["code"] for each in forms}
    assert form == "PAYLOAD_NOT_FOUND"
    assert "Requeue" in browser.post(min(forms), page.forms[min(forms)]).text
    assert not forms & {*browser.sign_in("viewer").get("/failures?code=PAYLOAD_NOT_FOUND").forms}
    assert "No failed job has this code now" in browser.get("/failures?code=TIMEOUT").text


def test_the_list_of_failures_says_what_was_not_checked(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "FAILED_READ", 1)
    for _ in range(2):
        a_failing_batch()

    problems = problems_on(browser.sign_in("viewer").get("/"))
    page = browser.get("/failures")

    assert problems == {"1+ failed jobs in 1+ batches": "/failures"}
    assert "Of the failed batches, only the newest" in page.text
    assert "/batches?state=failed" in links_of(page)


def test_a_depositor_sees_only_their_own_failures(browser: Browser) -> None:
    own = a_failing_batch()
    a_failing_batch(submitter="somebody", submitter_sub=sub_of("somebody"))

    page = browser.sign_in("depositor").get("/failures")

    assert len(rows_of(page)) == 1
    assert f"/batches/{own.batch_id}" in links_of(page)
    assert browser.get("/undelivered").status == 403


def test_reports_that_did_not_arrive_are_one_link_away(browser: Browser) -> None:
    first, second = a_batch("completed"), a_batch("completed")
    a_report(first, 1, delivery=LATE)
    a_report(first, 2, delivery=LATE)
    of_one = problems_on(browser.sign_in("viewer").get("/"))
    a_report(second, 1, delivery=LATE, subject="two of three")
    wait(browser)
    of_two = problems_on(browser.get("/"))
    page = browser.get("/undelivered")

    assert of_one == {"2 reports did not arrive yet": f"/batches/{first.batch_id}/reports"}
    assert of_two == {"3 reports did not arrive yet": "/undelivered"}
    assert len(rows_of(page)) == 3
    assert links_of(page)[f"/batches/{second.batch_id}/reports"] == "two of three"


def test_only_who_may_see_schedules_sees_reports_of_theirs(browser: Browser) -> None:
    schedule = a_schedule()
    a_report_of(schedule.schedule_id, delivery=LATE)

    of_admin = problems_on(browser.sign_in("admin").get("/"))
    of_viewer = problems_on(browser.sign_in("viewer").get("/"))

    reports = f"/schedules/{schedule.schedule_id}/reports"
    assert of_admin["1 report did not arrive yet"] == reports
    assert of_viewer == {}


def test_nothing_is_wrong_says_what_was_not_checked(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "OPEN_SHOWN", 1)
    texts = {role: browser.sign_in(role).get("/").text for role in ("depositor", "viewer")}
    for _ in range(2):
        a_batch("processing")
    wait(browser)
    partly = browser.get("/")

    assert "Only your own batches were checked" in texts["depositor"]
    assert "You may not see schedules and the system itself" in texts["viewer"]
    assert "Nothing is wrong in what was checked" in partly.text
    assert "Of the open batches, only the newest 1 were checked" in partly.text


def test_an_admin_sees_a_failed_run_behind_a_hundred_schedules(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "SCHEDULES_READ", 1)
    monkeypatch.setattr(overview_queries, "_NEXT_RUNS_SHOWN", 1)
    monkeypatch.setattr(overview_queries, "_PROBLEM_RUNS_SHOWN", 1)
    a_schedule(EACH_DAY | {"at": "08:00"}, title="a")
    assert "You may not see" not in browser.sign_in("admin").get("/").text
    for title in ("y", "z"):
        made = minute(a_schedule(EACH_DAY, title=title, since=NOW - 2 * DAY), NOW)
        failed = replace(LatestRun(NOW, NOW, JobState.FAILED, NOW), ended_at=NOW)
        schedules.write(made, replace(made, latest=failed, version=made.version + 1))
    wait(browser)
    home = browser.get("/")
    problems = problems_on(home)
    page = browser.get(problems["1 more schedule with a run that failed or was skipped"])

    assert {name for name in problems if "the last run failed" in name} <= {
        f"{title}: the last run failed" for title in "yz"
    }
    assert [row[0] for row in rows_of(page)] == ["y", "z"]
    assert "The last runs are those of the schedules that are due next" in home.text


def test_a_batch_that_waits_in_vain_for_its_manifest_is_not_counted(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "OPEN_SHOWN", 1)
    for hours in (-1, 1, 2):
        until = NOW + timedelta(hours=hours)
        a_batch("pending", source=None, upload_until=until)

    found = links_of(browser.sign_in("viewer").get("/"))

    assert found["/batches?state=pending"] == "2 Pending"


def test_batches_are_counted_by_state_and_those_that_ended_of_a_day(browser: Browser) -> None:
    for state, number in (("processing", 23), ("failed", 12), ("completed", 3), ("cancelled", 2)):
        for _ in range(number):
            a_batch(state)
    a_batch("completed", submitted_at=NOW - 2 * DAY, filename="old.csv")

    home = browser.sign_in("viewer").get("/")
    found = links_of(home)

    assert found["/batches?state=processing"] == "23 Processing"
    assert found["/batches?state=failed"] == "12 Failed"
    assert found["/batches?state=completed&submitted=24h"] == "3 Completed (24 h)"
    assert found["/batches?state=cancelled&submitted=24h"] == "2 Cancelled (24 h)"
    day = browser.get("/batches?state=completed&submitted=24h")
    assert len(rows_of(day)) == 3
    assert "old.csv" not in day.text
    assert "old.csv" in browser.get("/batches?state=completed&submitted=7d").text
    assert "old.csv" in browser.get("/batches?submitted=nonsense").text
    assert "old.csv" not in browser.get("/batches?submitted=24h").text


@pytest.mark.parametrize("address", ["/", "/batches"])
def test_a_bar_names_states_as_the_batchs_job_type_does(browser: Browser, address: str) -> None:
    batch = a_batch("processing", entries=3, job_type="http")
    a_job(batch, 0, "succeeded")
    deposit = a_batch("processing", entries=3)
    a_job(deposit, 0, "succeeded")
    browser.sign_in("viewer")

    html = browser.get(address).html

    for each, words in ((batch, "1 succeeded, 2 waiting"), (deposit, "1 completed, 2 pending")):
        row = html[html.index(f'<tr id="{each.batch_id}"') :].partition("</tr>")[0]
        assert f"<title>{words}</title>" in row


def test_the_strip_of_a_batch_names_states_as_its_job_type_does(browser: Browser) -> None:
    batch = a_batch("processing", entries=2, job_type="http")
    a_job(batch, 0, "succeeded")

    html = browser.sign_in("viewer").get(f"/batches/{batch.batch_id}").html

    assert "about 50 % succeeded, 50 % waiting" in html


def _busy(browser: Browser) -> None:
    """Something of everything that the home page may show."""
    for number in range(5):
        a_failing_batch(number + 1, filename=f"failed-{number}.csv")
    a_failing_batch(1, "processing", filename="open.csv")
    refused = {"failure_message": "the manifest has 2 errors", "ended_at": NOW - MINUTE}
    a_batch("failed", filename="refused.csv", **refused)
    a_batch("pending", filename="waiting.csv", submitted_at=NOW - 2 * DAY)
    for state in ("held", "completed", "cancelled", "reporting"):
        a_batch(state)
    for number in range(2):
        a_report(a_batch("completed"), delivery=LATE, subject=f"report {number}")
    campaign = put_tasks(a_campaign(browser.function.SITE.settings), ["failed", "running"])
    a_report_of(campaign.campaign_id, delivery=LATE)
    minute(a_schedule(EACH_DAY, title="missed", since=NOW - 3 * DAY))
    nine = NOW.replace(hour=9, minute=0, second=20)
    ran = minute(a_schedule(EACH_DAY, title="broken", since=nine - MINUTE), nine)
    (active,) = ran.active
    work(ran.job_address(active.scheduled_for), "failed", nine, MINUTE)
    for number in range(7):
        holds.put(Hold(f"collection:maps{number}", "ada", "the store is full", HOUR_AGO, None))
    subject = Subject("campaign", campaign.campaign_id, campaign.name)
    activity.put(Act(HOUR_AGO, "ada", sub_of("ada"), "pause", subject, "a rest", "c1"))


_LEADS_TO = {
    r"(\d+) failed jobs in (\d+) batches": lambda page, jobs, batches: (
        len(rows_of(page)) == int(batches)
        and sum(int(each) for at, each in links_of(page).items() if at.endswith("state=failed"))
        == int(jobs)
    ),
    r"(.+) failed as a whole": lambda page, name: name in page.text and "2 errors" in page.text,
    r"(.+) has waited for more than a day": lambda page, name: name in page.text,
    r"(\d+) reports did not arrive yet": lambda page, number: len(rows_of(page)) == int(number),
    r"(.+): the last run failed": lambda page, name: name in page.text and "Failed" in page.text,
    r"(.+): (Skipped .+)": lambda page, name, why: name in page.text and why in page.text,
    r"(?:CloudWatch|SQS) does not answer now, .*": lambda page: "does not answer now" in page.text,
    r"\d+ events? could not be delivered": lambda page: "Dead letters" in page.text,
}


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_every_link_of_a_busy_home_page_leads_to_what_its_words_say(
    browser: Browser, role: str
) -> None:
    _busy(browser)
    home = browser.sign_in(role).get("/")
    problems, found = problems_on(home), links_of(home)

    pages = {address: browser.get(address.partition("#")[0]) for address in found}

    assert {address: each.status for address, each in pages.items() if each.status != 200} == {}
    kinds = ["16 failed jobs in 6 batches", "refused.csv failed", "waiting.csv has", "3 reports"]
    kinds += ["broken: the last run", "missed: Skipped"] if role == "admin" else []
    for kind in kinds:
        assert any(words.startswith(kind) for words in problems), kind
    for words, address in problems.items():
        ((shows, match),) = [
            (shows, match)
            for pattern, shows in _LEADS_TO.items()
            if (match := re.fullmatch(pattern, words))
        ]
        assert shows(pages[address], *match.groups()), words
    counted = {at: words for at, words in found.items() if at.startswith("/batches?state=")}
    assert len(counted) == 9
    for address, words in counted.items():
        assert len(rows_of(pages[address])) == int(words.split()[0]), words
    assert found["/failures?code=PAYLOAD_NOT_FOUND"] == "and 3 more batches"
    assert len(rows_of(pages["/failures?code=PAYLOAD_NOT_FOUND"])) == 6
    for number in range(7):
        assert f"maps{number}" in pages["/holds"].text
    assert "a rest" in home.text


def test_deployments_are_marked_in_the_picture_and_the_latest_three_named(browser: Browser) -> None:
    for number in range(5):
        sample_rates(3, NOW - (30 - number) * MINUTE, f"0.2.0+{number}")
    browser.sign_in("viewer")

    first, shared = browser.get("/"), browser.get("/")

    for page in (first, shared):  # the second is made of what the first has stored
        assert page.html.count('class="deploy"') == 4
        for number in (2, 3, 4):
            assert f'<span class="deployed"><span>0.2.0+{number} deployed ' in page.html
        assert page.html.count('<span class="deployed">') == 3
        assert page.html.count("0.2.0+1") == 1  # in the title of the picture only


@pytest.mark.parametrize("role", ["viewer", "depositor"])
def test_a_manifest_that_was_refused_in_the_last_day_needs_attention(
    browser: Browser, role: str
) -> None:
    refused = {"failure_message": "the manifest has 2 errors", "ended_at": NOW - MINUTE}
    a_batch("failed", **refused | {"ended_at": NOW - timedelta(days=2)})
    assert "Nothing is wrong" in browser.sign_in(role).get("/").text
    first = a_batch("failed", filename="june.csv", **refused)
    browser.function.SITE.now.__self__.now += timedelta(minutes=1)
    page = browser.get("/")
    assert "june.csv failed as a whole" in page.text
    assert f'"/batches/{first.batch_id}"' in page.html
    a_batch("failed", filename="july.csv", **refused)
    browser.function.SITE.now.__self__.now += timedelta(minutes=1)

    assert "2 batches failed as a whole" in browser.get("/").text


def test_it_says_how_long_jobs_waited_in_the_chosen_time(browser: Browser) -> None:
    browser.sign_in("viewer")
    assert "How long jobs waited" not in browser.get("/?range=24h").text
    for seconds in [*[2] * 10, *[300] * 8, 90_000, 90_000]:
        rates.add(0, JobTotals.of_starts([timedelta(seconds=seconds)]))
    sample_rates(1, NOW)

    page = browser.get("/")

    assert "half of them up to 2 s, " in page.text
    assert "95 % over 1 d" in page.text


def test_it_lists_the_limits_in_use_and_the_holds_in_force(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = replace(DEVICE_UPDATE, at_once=100)
    monkeypatch.setattr(jobtypes, "TYPES", {**jobtypes.TYPES, limited.name: limited})
    placed = NOW - MINUTE
    for number in range(7):
        at = placed + number * timedelta(seconds=1)
        holds.put(Hold(f"collection:maps{number}", "ada", "the store is full", at, NOW + MINUTE))
    holds.put(Hold("type:sweep", "bob", "over", placed, NOW - timedelta(seconds=1)))
    leases.put("device-update", {"c1": Lease(30, NOW + MINUTE), "c2": Lease(9, NOW - MINUTE)}, 0)
    browser.sign_in("viewer")

    page = browser.get("/")

    tasks = "Tasks of device-update 30 100 of"
    for text in ("Limits in use", "Jobs of batches", tasks, "ada", "2 more"):
        assert text in page.text, text
    assert "collection maps4" in page.text
    assert "collection maps5" not in page.text
    assert "bob" not in page.text


def test_a_depositor_sees_no_limits_of_others(browser: Browser) -> None:
    browser.sign_in("depositor")

    assert "Limits in use" not in browser.get("/").text


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/batches", "/batches"),
        (f"/jobs/{batch_id_of(b'1')}.0.1", "/batches"),
        (f"/jobs/{schedule_id_of(b'1')}.20261122T120000Z", "/job-management"),
        (f"/schedules/{schedule_id_of(b'1')}/edit", "/job-management"),
        ("/calendars", "/job-management"),
        ("/", "/"),
        ("/activity", "/activity"),
    ],
)
def test_the_navigation_marks_the_part_to_which_a_page_belongs(
    browser: Browser, path: str, link: str
) -> None:
    browser.sign_in("admin")

    marked = re.findall(r'<a href="([^"?]+)" aria-current="page"', browser.get(path).html)

    assert {*marked} == {link}
