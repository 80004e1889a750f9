"""What all requests for pages share: the deployment's clients, clock and keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.services.context import Account
from jobyard.services.settings import Settings
from jobyard.services.system_clients import SystemClients
from web.signer import Signer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from jobyard.domain.schedules.occurrence import Occurrence


@dataclass(frozen=True)
class Site:
    """The deployment, as its pages need it.

    `cognito` is a client of the user pool, `cloudwatch`, `logs` and `sqs` are those of the alarms,
    of log lines and of the dead letters. `exchange_code` sends a form to the token endpoint of the
    sign-in page and returns its JSON. `signer_of` returns the signer of the month of a time,
    `cursor_key` the key that signs cursors. The `log_…` functions log unexpected errors, transient
    errors of AWS, and occurrences that a request skipped.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    cognito: Any
    cloudwatch: Any
    logs: Any
    sqs: Any
    exchange_code: Callable[[dict[str, str]], dict[str, Any]]
    account_of: Callable[[str], Account | None]
    cursor_key: Callable[[], bytes]
    signer_of: Callable[[datetime], Signer]
    new_id: Callable[[], str]
    now: Callable[[], datetime]
    log_internal_error: Callable[[Exception], None]
    log_unavailable: Callable[[Exception], None]
    log_skipped: Callable[[Sequence["Occurrence"]], None]

    @property
    def system_clients(self) -> SystemClients:
        """What the overview asks about the system itself."""
        return SystemClients(self.cloudwatch, self.sqs, self.log_unavailable)

    def signer(self) -> Signer:
        """The signer of this month."""
        return self.signer_of(self.now())

    @property
    def is_secure(self) -> bool:
        """Whether the pages are served over HTTPS, as everywhere but on a laptop."""
        return self.settings.url.startswith("https:")
