"""Loads a dataset from an uploaded file, or exports one."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from edit.clients import LOGGER, METER, S3, SETTINGS, now
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load
from jobyard.services.machines.edit_meter import run_metered_load

_TASKS = {"load": load, "export": export}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the task that `event` names. The result has the state of the dataset's load or export."""
    datasets = DatasetContext(SETTINGS, S3, now)
    run = _TASKS[event["task"]]
    done, metering_error = run_metered_load(
        event["name"], lambda: run(event, datasets), METER, int(context.memory_limit_in_mb)
    )
    LOGGER.info("dataset task", task=event["task"], metering_error=metering_error, **done)
    return done
