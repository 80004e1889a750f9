"""What services of datasets need: the deployment, S3 and the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class DatasetContext:
    """The deployment, S3 and the clock."""

    settings: Settings
    s3: "S3Client"
    now: Callable[[], datetime]
