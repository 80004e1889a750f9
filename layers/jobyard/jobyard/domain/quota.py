"""Quotas: what each person may have open, and use in a day. The manifests that are dropped into a
collection count as those of one person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from jobyard.domain.plurals import plural


class SlotKind(StrEnum):
    """What takes a slot while it is open."""

    BATCH = "batch"
    CAMPAIGN = "campaign"
    EDIT = "edit job"


_PARAMETERS = {
    SlotKind.BATCH: "OpenBatchesPerPerson",
    SlotKind.CAMPAIGN: "OpenCampaignsPerPerson",
    SlotKind.EDIT: "OpenEditJobsPerPerson",
}


@dataclass(frozen=True)
class Quotas:
    """The limits of a deployment, for each person. Days are in UTC."""

    open_batches: int
    daily_bytes: int
    daily_mails: int
    open_campaigns: int
    open_edits: int

    def open_limit(self, kind: SlotKind) -> int:
        """How many of a kind each person may have open."""
        return {
            SlotKind.BATCH: self.open_batches,
            SlotKind.CAMPAIGN: self.open_campaigns,
            SlotKind.EDIT: self.open_edits,
        }[kind]


@dataclass(frozen=True)
class QuotaUse:
    """What a person uses. `slots` are their open batches by id, with what the store notes of each,
    `campaigns` and `edits` those of campaigns and edit jobs; some may have ended. `bytes` and
    `mails` are those of `day`, as `YYYY-MM-DD`, "" before the first.
    """

    slots: Mapping[str, str] = field(default_factory=dict)
    day: str = ""
    bytes: int = 0
    mails: int = 0
    campaigns: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, str] = field(default_factory=dict)

    def slots_of(self, kind: SlotKind) -> Mapping[str, str]:
        """The slots of a kind, by id."""
        slots = {SlotKind.CAMPAIGN: self.campaigns, SlotKind.EDIT: self.edits}
        return slots.get(kind, self.slots)


def day_of(now: datetime) -> str:
    """The day in UTC, as `YYYY-MM-DD`."""
    return f"{now.astimezone(UTC):%Y-%m-%d}"


def quota_owner(submitter_sub: str, collection: str) -> str:
    """Whose quota a batch counts for: its submitter's id, or the collection it was dropped into."""
    return submitter_sub or f"collection {collection}"


def seconds_left(now: datetime) -> int:
    """The seconds until the next day begins in UTC, at least 1."""
    return max(int((_next_day(now) - now).total_seconds()), 1)


def open_refusal(used: QuotaUse, quotas: Quotas, kind: SlotKind = SlotKind.BATCH) -> str:
    """Why no other batch, campaign or edit job may be opened; "" if one may."""
    count, most = len(used.slots_of(kind)), quotas.open_limit(kind)
    if count < most:
        return ""
    return (
        f"{plural(count, kind)} {'is' if count == 1 else 'are'} open, and each person may have "
        f"{most:,} ({_PARAMETERS[kind]}). Another one is possible when one of them has ended"
    )


def mail_refusal(
    used: QuotaUse, mails: int, quotas: Quotas, now: datetime, what: str = "its report"
) -> str:
    """Why `what` may not be sent by this number of mails; "" if it may."""
    if not mails or used.mails + mails <= quotas.daily_mails:
        return ""
    return (
        f"{what} would be {plural(mails, 'mail')}. {used.mails:,} are used today of the "
        f"{quotas.daily_mails:,} that each person may send in a day (DailyMailsPerPerson). "
        f"The next day begins at {_next_day(now):%Y-%m-%d %H:%M} UTC"
    )


def byte_refusal(used: QuotaUse, size: int, quotas: Quotas, now: datetime) -> str:
    """Why a batch may not have this number of bytes; "" if it may."""
    if not size or used.bytes + size <= quotas.daily_bytes:
        return ""
    return (
        f"its manifest and the files in it have {size:,} bytes. {used.bytes:,} are used today of "
        f"the {quotas.daily_bytes:,} that each person may deposit in a day "
        f"(DailyGigabytesPerPerson). The next day begins at {_next_day(now):%Y-%m-%d %H:%M} UTC"
    )


def _next_day(now: datetime) -> datetime:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)
