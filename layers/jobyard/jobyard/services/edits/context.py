"""What the machine's services for edit jobs need: the deployment, clients, the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.domain.lifecycle import Cause
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.executions import Executions
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from jobyard.jobtypes.http_client import HttpClient


@dataclass(frozen=True)
class EditContext:
    """The deployment, S3, EventBridge, Lambda, the web, the state machines and the clock.

    `run` is the name of the task: the cause of the moves that it makes. `events` and `functions`
    are clients of EventBridge and Lambda.
    """

    settings: Settings
    s3: "S3Client"
    events: Any
    functions: Any
    http: "HttpClient"
    executions: Executions
    now: Callable[[], datetime]
    run: str

    @property
    def datasets(self) -> DatasetContext:
        """What services of datasets need."""
        return DatasetContext(self.settings, self.s3, self.now)

    def cause(self, reason: str = "") -> Cause:
        """The cause of a move of this task."""
        return Cause(self.run, reason=reason)
