"""Quotas: what each person may have open, and use in a day. The manifests that are dropped into a
collection count as those of one person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jobyard.domain.plurals import plural


@dataclass(frozen=True)
class Quotas:
    """The limits of a deployment, for each person. Days are in UTC."""

    open_batches: int
    daily_bytes: int
    daily_mails: int


@dataclass(frozen=True)
class QuotaUse:
    """What a person uses. `places` are their open batches by id, with what the store notes of each;
    some may have ended. `bytes` and `mails` are those of `day`, as `YYYY-MM-DD`, "" before the
    first.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    day: str = ""
    bytes: int = 0
    mails: int = 0


def day_of(now: datetime) -> str:
    """The day in UTC, as `YYYY-MM-DD`."""
    return f"{now.astimezone(UTC):%Y-%m-%d}"


def quota_owner(submitter_sub: str, collection: str) -> str:
    """Whose quota a batch counts for: its submitter's id, or the collection it was dropped into."""
    return submitter_sub or f"collection {collection}"


def seconds_left(now: datetime) -> int:
    """The seconds until the next day begins in UTC, at least 1."""
    return max(int((_next_day(now) - now).total_seconds()), 1)


def open_refusal(used: QuotaUse, quotas: Quotas) -> str:
    """Why no other batch may be opened; "" if one may."""
    if len(used.places) < quotas.open_batches:
        return ""
    return (
        f"{plural(len(used.places), 'batch')} are open, and each person may have "
        f"{quotas.open_batches:,} (OpenBatchesPerPerson). Another one is possible when one of them "
        "has ended"
    )


def mail_refusal(used: QuotaUse, mails: int, quotas: Quotas, now: datetime) -> str:
    """Why a batch may not send so many mails; "" if it may."""
    if not mails or used.mails + mails <= quotas.daily_mails:
        return ""
    return (
        f"its report would be {plural(mails, 'mail')}. {used.mails:,} are used today of the "
        f"{quotas.daily_mails:,} that each person may send in a day (DailyMailsPerPerson). "
        f"The next day begins at {_next_day(now):%Y-%m-%d %H:%M} UTC"
    )


def byte_refusal(used: QuotaUse, size: int, quotas: Quotas, now: datetime) -> str:
    """Why a batch may not have so many bytes; "" if it may."""
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
