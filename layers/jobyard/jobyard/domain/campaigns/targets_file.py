"""A file of targets in the intake bucket. Its key says who uploaded it, so that nobody can start a
campaign with another person's file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.upload_keys import is_own_upload, upload_key

TARGETS_PREFIX = "targets/"
TARGETS_BYTES = 32 * 1024 * 1024  # of the largest file: 100,000 targets of 335 bytes each


@dataclass(frozen=True)
class TargetsFile:
    """An uploaded file of targets, in the version that was checked."""

    key: str
    version_id: str
    size: int

    @property
    def filename(self) -> str:
        """The name that its uploader gave it."""
        return self.key.rpartition("/")[2]

    def document(self) -> dict[str, Any]:
        """The file as JSON."""
        return {"key": self.key, "version_id": self.version_id, "size": self.size}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "TargetsFile":
        """The file in a document."""
        return cls(document["key"], document["version_id"], document["size"])


def targets_key(sub: str, request_key: str, filename: str) -> str:
    """The key to upload a file of targets to. A repeated request gets the same key."""
    return upload_key(TARGETS_PREFIX, sub, request_key, filename)


def check_own_key(key: str, sub: str) -> None:
    """Check that a key is of a file of targets that this person uploaded.

    Raises:
        InvalidCampaign: it is not.
    """
    if not is_own_upload(TARGETS_PREFIX, key, sub):
        allowed = "the key of a file of targets that you have uploaded"
        raise InvalidCampaign([InvalidRule("targets_file", allowed)])
