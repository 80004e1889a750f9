"""Loads a dataset from an uploaded file, or exports one."""

from typing import Any

from edit.clients import LOGGER, S3, SETTINGS, now
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load

_TASKS = {"load": load, "export": export}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do the task that `event` names. The result has the state of the dataset's load or export."""
    done = _TASKS[event["task"]](event, DatasetContext(SETTINGS, S3, now))
    LOGGER.info("dataset task", task=event["task"], **done)
    return done
