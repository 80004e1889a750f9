"""What the handlers of this folder share: clients, settings, the clock."""

import os
import secrets
from datetime import UTC, datetime
from functools import cache

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
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, session, wire

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


def _log_refused(report: Report, error: Exception) -> None:
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


REPORT_CONTEXT = ReportContext(
    SETTINGS, S3, SES, BotoCoreError, now, refused=_log_refused, signing_key=_signing_key
)

cold_start.end()
