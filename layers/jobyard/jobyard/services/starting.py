"""Telling the state machines: once per request, however often it is said."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobyard.domain.job import Place
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class Starting:
    """What starting needs: the deployment and the state machines."""

    settings: Settings
    machines: "SFNClient"

    def batch(self, batch_id: str, command: str, run: str) -> None:
        """Have the batch machine carry out `command` for `run`."""
        document = {"batch_id": batch_id, "command": command, "run": run, "pass": 1}
        self._start(self.settings.batch_machine, f"{batch_id}-{command}-{run}", document)

    def job(self, place: Place, run: str) -> None:
        """Have the job machine run one job by itself for `run`."""
        document = {
            "batch_id": place.batch_id,
            "run": run,
            "pass": 1,
            "chunk": place.chunk,
            "position": place.position,
        }
        self._start(self.settings.job_machine, f"{place.job_id}-{run}", document)

    def _start(self, machine: str, name: str, document: dict[str, Any]) -> None:
        # An execution of that name, running or ended, was told already.
        try:
            self.machines.start_execution(
                stateMachineArn=machine, name=name, input=json.dumps(document)
            )
        except self.machines.exceptions.ExecutionAlreadyExists:
            return
