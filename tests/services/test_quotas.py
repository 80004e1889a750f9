"""Quotas of people: taken once, freed by themselves, exact under races."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.errors import QuotaExceeded
from jobyard.domain.quota import Quotas
from jobyard.services.batches.submissions import Submission, submit
from jobyard.services.campaigns import commands
from jobyard.services.quotas import count_bytes, count_stored, take_slot
from jobyard.store import batches, quotas
from tests.functions.api.campaign_requests import campaign_request
from tests.harness import ADMIN, DEPOSITOR, Harness, Payloads, single_files

OWNER = DEPOSITOR.sub
DROPS = "collection maps"


@pytest.fixture
def stack(harness: Harness) -> Harness:
    limits = Quotas(3, daily_bytes=5_000, daily_mails=5, open_campaigns=1, open_edits=2)
    harness.settings = replace(harness.settings, quotas=limits)
    return harness


def submitted(stack: Harness, key: str = "", notify: tuple[str, ...] = ()) -> str:
    submission = Submission("maps", "may.checkm", "deposit", "", notify, {}, "")
    batch, _ = submit(submission, stack.context(DEPOSITOR, key))
    return batch.batch_id


def test_a_person_may_have_so_many_open_batches_and_another_when_one_has_ended(
    stack: Harness,
) -> None:
    first, *_ = [submitted(stack) for _ in range(3)]
    with pytest.raises(QuotaExceeded, match="3 batches are open, and each person may have 3"):
        submitted(stack)
    submission = Submission("maps", "may.checkm", "deposit", "", (), {}, "")
    submit(submission, stack.context(ADMIN))  # another person

    stack.send_batch_event(first, "cancel", person=DEPOSITOR)

    submitted(stack)
    assert first not in quotas.get(OWNER).slots


def test_the_place_of_a_submission_that_is_never_uploaded_becomes_free(stack: Harness) -> None:
    for _ in range(3):
        submitted(stack)

    stack.advance(16 * 60)

    submitted(stack)
    assert len(quotas.get(OWNER).slots) == 1


def test_a_repeated_submission_counts_once_also_after_a_crash(stack: Harness) -> None:
    to = ("ann@example.org", "bob@example.org")
    take_slot(OWNER, "never stored", 1, stack.settings.quotas, stack.now())

    first = submitted(stack, "the key", to)
    assert submitted(stack, "the key", to) == first

    used = quotas.get(OWNER)
    assert used.slots.keys() == {"never stored", first}
    assert used.mails == 3
    stack.advance(3601)
    submitted(stack)
    submitted(stack)  # of the first two, one was never stored and one was never uploaded
    assert first not in quotas.get(OWNER).slots


def test_mails_are_counted_for_a_day(stack: Harness) -> None:
    three = tuple(f"{name}@example.org" for name in ("ann", "bob", "cat"))
    submitted(stack, notify=three)

    with pytest.raises(QuotaExceeded, match="3 are used today of the 5") as refused:
        submitted(stack, notify=three)
    assert refused.value.retry_after_s == 12 * 3600  # until midnight
    submitted(stack, notify=three[:2])

    stack.advance(12 * 3600)
    submitted(stack, notify=three)


def test_bytes_are_counted_once_for_a_manifest_and_its_files(
    stack: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"a.txt": b"a" * 3_000})

    batch_id = stack.drop(manifest)

    assert stack.batch(batch_id).batch.state == "completed"
    used = quotas.get(DROPS).bytes
    stored = batches.get(batch_id, stack.now())
    count_bytes(stored, 10**9, stack.settings.quotas, stack.now())  # a repeat
    assert used == len(manifest) + 3_000
    assert quotas.get(DROPS).bytes == used


def test_what_is_stored_beyond_what_a_manifest_says_counts_too(
    stack: Harness, payloads: Payloads
) -> None:
    stored = batches.get(stack.drop(single_files(payloads, {"a.txt": b"a"})), stack.now())

    for _ in range(2):
        count_stored(stored, 43_210_000, stack.now())

    assert quotas.get(DROPS).bytes == 43_210_000


def test_a_dropped_manifest_beyond_a_quota_is_refused_with_a_report(
    stack: Harness, payloads: Payloads
) -> None:
    large = single_files(payloads, {"a.txt": b"a" * 6_000})

    batch_id = stack.drop(large, metadata={"notify": "ann@example.org"})

    view = stack.batch(batch_id)
    assert view.batch.state == "failed"
    assert "5,000 that each person may deposit in a day" in view.batch.failure_message
    (mail,) = stack.mails_of(batch_id)
    assert "DailyGigabytesPerPerson" in mail.text
    assert view.batch.entries == 0


def test_dropped_manifests_beyond_the_mails_of_a_day_send_none(
    stack: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"a.txt": b"a"})
    many = ",".join(f"person{number}@example.org" for number in range(4))

    first, second = (
        stack.drop(manifest, name=name, metadata={"notify": many})
        for name in ("1.checkm", "2.checkm")
    )

    assert stack.batch(first).batch.state == "completed"
    refused = stack.batch(second).batch
    assert "DailyMailsPerPerson" in refused.failure_message
    assert refused.last_report == 1
    assert (len(stack.mails_of(first)), len(stack.mails_of(second))) == (1, 0)
    assert quotas.get(DROPS).mails == 4


def test_many_requests_at_the_same_time_never_exceed_a_limit(stack: Harness) -> None:
    limits = replace(stack.settings.quotas, open_batches=7, daily_mails=10)

    def take(number: int) -> bool:
        try:
            take_slot("racer", f"batch {number}", 1 + number % 2, limits, stack.now())
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        taken = [*threads.map(take, range(24))]

    used = quotas.get("racer")
    assert sum(taken) == len(used.slots) <= 7
    assert used.mails == sum(1 + number % 2 for number, took in enumerate(taken) if took) <= 10


def test_the_item_of_a_person_stays_small(stack: Harness) -> None:
    limits = replace(stack.settings.quotas, open_batches=1_000)
    for number in range(60):
        take_slot("busy", f"{number:026}", 0, limits, stack.now())
        stack.at += timedelta(hours=2)  # a slot of what is never stored is kept for an hour

    assert len(quotas.get("busy").slots) <= 26


def start_campaign(stack: Harness, key: str) -> str:
    return commands.start(campaign_request(), stack.context(ADMIN, key)).campaign.campaign_id


def test_a_person_may_have_so_many_open_campaigns(stack: Harness) -> None:
    """They count from their start to their end; another person has a limit of their own."""
    first, _ = (start_campaign(stack, "first") for _ in range(2))  # a repeat

    with pytest.raises(QuotaExceeded, match=r"may have 1 \(OpenCampaignsPerPerson\)"):
        start_campaign(stack, "second")
    commands.send_event(first, "cancel", stack.context(ADMIN))
    stack.machines.run_all()
    start_campaign(stack, "second")

    assert first not in quotas.get(ADMIN.sub).campaigns
