"""What a refusal by a quota says."""

from datetime import UTC, datetime, timedelta, timezone

from jobyard.domain.quota import (
    Quotas,
    QuotaUse,
    SlotKind,
    byte_refusal,
    day_of,
    mail_refusal,
    open_refusal,
    quota_owner,
    seconds_left,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMITS = Quotas(2, daily_bytes=1_000, daily_mails=10, open_campaigns=1, open_edits=3)


def test_a_refusal_names_the_limit_its_value_what_is_used_and_when_it_is_free() -> None:
    used = QuotaUse({"a": "1", "b": "1"}, "2026-11-30", bytes=900, mails=9)

    assert open_refusal(used, LIMITS) == (
        "2 batches are open, and each person may have 2 (OpenBatchesPerPerson). Another one is "
        "possible when one of them has ended"
    )
    open_ones = QuotaUse(campaigns={"c": "1"}, edits={"e": "1"})
    assert open_refusal(open_ones, LIMITS, SlotKind.CAMPAIGN) == (
        "1 campaign is open, and each person may have 1 (OpenCampaignsPerPerson). Another one is "
        "possible when one of them has ended"
    )
    assert open_refusal(open_ones, LIMITS, SlotKind.EDIT) == ""
    assert mail_refusal(used, 2, LIMITS, NOON) == (
        "its report would be 2 mails. 9 are used today of the 10 that each person may send in a "
        "day (DailyMailsPerPerson). The next day begins at 2026-12-01 00:00 UTC"
    )
    assert byte_refusal(used, 101, LIMITS, NOON) == (
        "its manifest and the files in it have 101 bytes. 900 are used today of the 1,000 that "
        "each person may deposit in a day (DailyGigabytesPerPerson). The next day begins at "
        "2026-12-01 00:00 UTC"
    )


def test_nothing_is_refused_up_to_a_limit() -> None:
    used = QuotaUse({"a": "1"}, "2026-11-30", bytes=900, mails=9)

    assert open_refusal(used, LIMITS) == ""
    assert mail_refusal(used, 1, LIMITS, NOON) == ""
    assert mail_refusal(QuotaUse(mails=99), 0, LIMITS, NOON) == ""
    assert byte_refusal(used, 100, LIMITS, NOON) == ""


def test_days_are_in_utc() -> None:
    late = datetime(2026, 11, 30, 23, tzinfo=timezone(timedelta(hours=-5)))

    assert day_of(late) == "2026-12-01"
    assert seconds_left(late) == 20 * 3600
    assert seconds_left(NOON.replace(hour=23, minute=59, second=59, microsecond=999_999)) == 1


def test_dropped_manifests_have_the_quota_of_their_collection() -> None:
    assert quota_owner("sub-1", "maps") == "sub-1"
    assert quota_owner("", "maps") == "collection maps"
