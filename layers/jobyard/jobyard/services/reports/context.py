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

# The jobs that one invocation reads in some minutes, of the fifteen that Lambda allows; the next
# invocation reads the next ones.
SLICE_JOBS = 100_000


def _no_client() -> "HttpClient":
    raise LookupError("this context has no client for webhooks")


@dataclass(frozen=True)
class ReportContext:
    """The deployment, S3, the mail service and the clock.

    `no_response_error` is what the mail client raises if no response arrives. `used` returns the
    usage of this invocation so far, for the cost in the report. `slice_jobs` is the maximum of jobs
    that one invocation reads. `on_failure` is called when the mail service rejects a mail or does
    not respond. `signing_key` returns the keys of links to reports in mails: the first one signs,
    all are accepted. `http` returns the client of webhook deliveries.
    """

    settings: Settings
    s3: "S3Client"
    mail: "SESV2Client"
    no_response_error: type[Exception]
    now: Callable[[], datetime]
    used: Callable[[], Usage] = Usage
    slice_jobs: int = SLICE_JOBS
    on_failure: Callable[[Report, Exception], None] = lambda report, error: None
    signing_key: Callable[[], bytes] = lambda: b"-"
    http: "Callable[[], HttpClient]" = _no_client
