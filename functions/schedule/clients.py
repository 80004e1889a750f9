"""What the handlers of this folder share: clients, settings, the clock."""

import os
from datetime import UTC, datetime

from aws_lambda_powertools import Logger
from botocore.config import Config

from jobyard import cold_start
from jobyard.services.executions import Executions
from jobyard.services.schedules.clock import PARALLEL_SCHEDULES
from jobyard.wiring import CLIENT_CONFIG, session, wire

LOGGER = Logger()
SETTINGS = wire(os.environ)
_TICK_CONFIG = CLIENT_CONFIG.merge(Config(read_timeout=10))  # a tick has a minute
# Many schedules may be due in one minute, and AWS starts a few hundred executions a second.
MACHINES = session().create_client(
    "stepfunctions",
    config=_TICK_CONFIG.merge(Config(max_pool_connections=PARALLEL_SCHEDULES)),
)
# No handler of this folder uses S3 itself. The release of held work is a command, and the context
# of a command has a client.
S3 = session().create_client("s3", config=_TICK_CONFIG)
EXECUTIONS = Executions(SETTINGS, MACHINES)


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


cold_start.end()
