"""What the API and the pages have once in a process: AWS clients, the clock, the key of cursors."""

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.config import Config

from gateway.clients import LazyClient
from jobyard.domain import metrics
from jobyard.services import cursors
from jobyard.wiring import session

if TYPE_CHECKING:
    from jobyard.domain.schedules.occurrence import Occurrence

# The gateway times out after 30 seconds, so no call may take long.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=8
)
_KEYS_TIME_S = 600  # how long keys are kept in memory


def lazy_client(service: str, config: Config = CLIENT_CONFIG) -> Any:
    """A client of an AWS service that is created at its first use."""
    return LazyClient(lambda: session().create_client(service, config=config))


def now() -> datetime:
    """The time, UTC, in whole milliseconds as it is stored: responses must match later reads."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def cursor_key() -> bytes:
    """The keys that seal cursors. They are read again every ten minutes, so all instances of the
    functions agree soon after somebody has rotated them.
    """
    return _cursor_key(int(now().timestamp()) // _KEYS_TIME_S)


@lru_cache(maxsize=1)
def _cursor_key(_period: int) -> bytes:
    return cursors.key(secrets.token_urlsafe(32))


def log_skipped(logger: Logger, occurrences: Sequence["Occurrence"]) -> None:
    """Log occurrences that a request skipped, and count those that need attention."""
    reasons = Counter(each.skip_reason for each in occurrences if each.skip_reason)
    logger.warning("skipped", origin_id=occurrences[0].schedule_id, reasons=reasons)
    missed = sum(number for reason, number in reasons.items() if reason.needs_attention)
    if missed:
        from telemetry import emit_metrics

        emit_metrics({metrics.RUNS_FAILED_OR_MISSED: missed})
