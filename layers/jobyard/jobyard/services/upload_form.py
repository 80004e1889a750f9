"""Presigned forms to upload a file to the intake bucket with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobyard.services.settings import UPLOAD_TIME, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class UploadForm:
    """The URL and fields to POST a file with, as an HTML form does, until `expires_at`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


def presigned_form(
    s3: "S3Client",
    settings: Settings,
    key: str,
    max_bytes: int,
    asked_at: datetime,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> UploadForm:
    """The form to upload 1 to `max_bytes` bytes to `key`; `fields` are more of its fields."""
    post = s3.generate_presigned_post(
        settings.intake_bucket,
        key,
        Fields=dict(fields),
        Conditions=[
            ["content-length-range", 1, max_bytes],
            *({name: value} for name, value in fields.items()),
        ],
        ExpiresIn=int(UPLOAD_TIME.total_seconds()),
    )
    return UploadForm(post["url"], post["fields"], asked_at + UPLOAD_TIME)
