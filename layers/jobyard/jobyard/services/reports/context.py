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

    from jobyard.jobtypes.http_client import HttpClient

SLICE_JOBS = 100_000  # take some minutes of the fifteen that Lambda allows


def _no_client() -> "HttpClient":
    raise LookupError("this context calls no webhooks")


@dataclass(frozen=True)
class ReportContext:
    """The deployment, S3, the mail service and the clock.

    `unanswered` is the error of the mail client when no answer arrives. `used` returns the usage of
    this invocation so far, for the cost in the report. `slice_jobs` is the maximum of jobs that one
    invocation reads. `refused` is called when the mail service rejects a mail or does not answer.
    `signing_key` returns the keys of links, `http` the client that calls webhooks.
    """

    settings: Settings
    s3: "S3Client"
    mail: "SESV2Client"
    unanswered: type[Exception]
    now: Callable[[], datetime]
    used: Callable[[], Usage] = Usage
    slice_jobs: int = SLICE_JOBS
    refused: Callable[[Report, Exception], None] = lambda report, error: None
    signing_key: Callable[[], bytes] = lambda: b"-"
    http: "Callable[[], HttpClient]" = _no_client
