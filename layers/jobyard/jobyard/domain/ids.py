"""Ids of batches, schedules, campaigns and edit jobs, and the form of names.

Each id is a hash of a seed, so that a repeat gets the same id.
"""

import base64
import hashlib
import re
from enum import StrEnum

from jobyard.domain.metrics import RUNS_FAILED_OR_MISSED

# Of a collection, a dataset, a team or a job type, as a regex.
NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_HASH_LENGTH = 20


class Origin(StrEnum):
    """What creates jobs. The jobs of one type may have several origins."""

    initial: str  # of its ids
    path: str  # its segment in the API's paths
    job_kind: str  # what its jobs are in the access table
    failure_metric: str  # counts its failed jobs, besides the metric of all jobs; "" for none

    # What services do differently for each is in services/origins.py.
    BATCH = "batch", "b", "batches", "job", ""
    SCHEDULE = "schedule", "s", "schedules", "schedule job", RUNS_FAILED_OR_MISSED
    CAMPAIGN = "campaign", "c", "campaigns", "task", ""

    def __new__(
        cls, value: str, initial: str, path: str, job_kind: str, failure_metric: str
    ) -> "Origin":
        """A member with its fields."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.initial, member.path = initial, path
        member.job_kind, member.failure_metric = job_kind, failure_metric
        return member


def origin_of(origin_id: str) -> Origin:
    """The kind of origin that has this id; a batch unless it is the id of another origin."""
    return next((each for each in Origin if _is_id(origin_id, each)), Origin.BATCH)


def batch_id_of(seed: bytes) -> str:
    """The batch id for `seed`: "b" and 20 lower-case base32 characters."""
    return _id_of(Origin.BATCH, seed)


def schedule_id_of(seed: bytes) -> str:
    """The schedule id for `seed`: "s" and 20 lower-case base32 characters."""
    return _id_of(Origin.SCHEDULE, seed)


def system_schedule_id(job_type: str) -> str:
    """The id of the schedule of a system job type."""
    return schedule_id_of(f"system\n{job_type}".encode())


def campaign_id_of(seed: bytes) -> str:
    """The campaign id for `seed`: "c" and 20 lower-case base32 characters."""
    return _id_of(Origin.CAMPAIGN, seed)


def edit_id_of(seed: bytes) -> str:
    """The edit job's id for `seed`: "e" and 20 lower-case base32 characters."""
    return f"e{_hash_of(seed)}"


def fixup_id_of(edit_id: str, failure_type: str, number: int) -> str:
    """The id of a fix-up of an edit job: "x" and 20 lower-case base32 characters."""
    return f"x{_hash_of(_child_seed(edit_id, failure_type, number))}"


def review_id_of(edit_id: str, failure_type: str, number: int) -> str:
    """The id of a review of an edit job: "r" and 20 lower-case base32 characters."""
    return f"r{_hash_of(_child_seed(edit_id, failure_type, number))}"


def _child_seed(edit_id: str, failure_type: str, number: int) -> bytes:
    return f"{edit_id}\n{failure_type}\n{number}".encode()


def upload_folder_of(seed: bytes) -> str:
    """The name of a folder of uploads for `seed`: "t" and 20 lower-case base32 characters."""
    return f"t{_hash_of(seed)}"


def load_id_of(seed: bytes) -> str:
    """The id of the load of a dataset for `seed`: "l" and 20 lower-case base32 characters."""
    return f"l{_hash_of(seed)}"


def export_id_of(seed: bytes) -> str:
    """The id of an export of a dataset for `seed`: "o" and 20 lower-case base32 characters."""
    return f"o{_hash_of(seed)}"


def is_name(text: str) -> bool:
    """Whether `text` has the form `NAME_PATTERN`."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def is_load_id(text: str) -> bool:
    """Whether `text` has the form of the id of a load."""
    return _has_form(text, "l")


def is_export_id(text: str) -> bool:
    """Whether `text` has the form of the id of an export."""
    return _has_form(text, "o")


def _id_of(origin: Origin, seed: bytes) -> str:
    return f"{origin.initial}{_hash_of(seed)}"


def _hash_of(seed: bytes) -> str:
    return base64.b32encode(hashlib.sha256(seed).digest()).decode().lower()[:_HASH_LENGTH]


def batch_id_of_object(bucket: str, key: str, version_id: str) -> str:
    """The batch id of a dropped manifest; a repeated event gives the same id."""
    return batch_id_of("\n".join((bucket, key, version_id)).encode())


def is_batch_id(text: str) -> bool:
    """Whether `text` has the form of a batch id."""
    return _is_id(text, Origin.BATCH)


def is_schedule_id(text: str) -> bool:
    """Whether `text` has the form of a schedule id."""
    return _is_id(text, Origin.SCHEDULE)


def is_campaign_id(text: str) -> bool:
    """Whether `text` has the form of a campaign id."""
    return _is_id(text, Origin.CAMPAIGN)


def is_edit_id(text: str) -> bool:
    """Whether `text` has the form of the id of an edit job."""
    return _has_form(text, "e")


def is_child_id(text: str) -> bool:
    """Whether `text` has the form of the id of a fix-up or a review of an edit job."""
    return _has_form(text, "x") or _has_form(text, "r")


def is_origin_id(text: str) -> bool:
    """Whether `text` has the form of the id of an origin."""
    return any(_is_id(text, origin) for origin in Origin)


def _is_id(text: str, origin: Origin) -> bool:
    return _has_form(text, origin.initial)


def _has_form(text: str, initial: str) -> bool:
    return (
        len(text) == _HASH_LENGTH + 1
        and text[0] == initial
        and all(character in "abcdefghijklmnopqrstuvwxyz234567" for character in text[1:])
    )
