"""The context of a report: the deployment, its clients and the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.batches.report import Report
from jobyard.domain.cost import Usage
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client

SLICE_JOBS = 100_000  # that Report goes through in minutes, of its fifteen


@dataclass(frozen=True)
class ReportContext:
    """The deployment, S3, the mail service and the clock.

    `used` returns what this invocation has used so far, for the cost in the report. `slice_jobs` is
    the most jobs one invocation walks over. `refused` is called when the mail service refuses a
    mail, or its answer is lost.
    """

    settings: Settings
    s3: "S3Client"
    mail: "SESV2Client"
    unanswered: type[Exception]  # what the mail client raises when no answer comes
    now: Callable[[], datetime]
    used: Callable[[], Usage] = Usage
    slice_jobs: int = SLICE_JOBS
    refused: Callable[[Report, Exception], None] = lambda report, error: None
