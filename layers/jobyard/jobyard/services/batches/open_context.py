"""The context of opening a batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def _no_limit() -> float:
    return math.inf


@dataclass(frozen=True)
class OpenContext:
    """The deployment, S3, the clock, the execution that opens, and its time limit.

    `execution` is the execution's name, "" if none opens the batch. A second execution for the same
    object finds the batch opened under another name, and ends. `remaining` is in seconds.
    """

    settings: Settings
    s3: "S3Client"
    now: Callable[[], datetime]
    execution: str
    remaining: Callable[[], float] = _no_limit
