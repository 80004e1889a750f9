"""What the handlers of this folder share: clients, settings, the clock."""

import os
import secrets
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from jobyard import cold_start
from jobyard.domain.batches.report import Report
from jobyard.services import cursors
from jobyard.services.batches.settle import SettleContext
from jobyard.services.executions import Executions
from jobyard.services.meter import Meter
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.webhooks import ANSWER_S, CONNECT_S
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, session, wire

if TYPE_CHECKING:
    from jobyard.jobtypes.http_client import HttpClient

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = session().create_client("s3", config=S3_CLIENT_CONFIG)
# SES takes no idempotency token, so this client never retries: a retry could send a mail twice.
SES = session().create_client(
    "sesv2",
    config=CLIENT_CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1})),
)
MACHINES = session().create_client("stepfunctions", config=CLIENT_CONFIG)


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


METER = Meter([S3, SES])
SETTLE_CONTEXT = SettleContext(SETTINGS, S3, now, Executions(SETTINGS, MACHINES))


def _log_failure(report: Report, error: Exception) -> None:
    metadata = getattr(error, "response", {}).get("ResponseMetadata", {})
    LOGGER.warning(
        "mail refused",
        origin_id=report.batch_id,
        seq=report.seq,
        mail_request=metadata.get("RequestId", ""),
        exc_info=error,
    )


@cache
def _signing_key() -> bytes:
    """The keys of links, read once: the first one stays valid when keys are rotated."""
    return cursors.key(secrets.token_urlsafe(32))


@cache
def _http() -> "HttpClient":
    """The client of webhook deliveries; its imports take a while, and few invocations need it."""
    from jobyard.jobtypes.http_client import HttpClient, Timeouts

    timeouts = Timeouts(connect_s=CONNECT_S, response_s=ANSWER_S)
    return HttpClient(SETTINGS.allowed_hosts, now, timeouts=timeouts)


REPORT_CONTEXT = ReportContext(
    SETTINGS,
    S3,
    SES,
    BotoCoreError,
    now,
    on_failure=_log_failure,
    signing_key=_signing_key,
    http=_http,
)

cold_start.end()
