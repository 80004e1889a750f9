"""Executions of the state machines. An execution starts once per name, however often requested."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.domain.ids import system_schedule_id
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.runs import ExecutionRun
from jobyard.services.settings import Settings, unqualified

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class ExecutionStatus:
    """The status of an execution, as Step Functions names it, and when it ended (aware UTC).

    `ended_at` is the start while the execution runs.
    """

    status: str
    ended_at: datetime

    @property
    def is_running(self) -> bool:
        """Whether the execution has not ended."""
        return self.status == "RUNNING"


def batch_execution(batch_id: str, command: str, run: str, recoveries: int = 0) -> str:
    """The name of the execution for a command of a run, after that many recoveries."""
    return f"{batch_id}-{command}-{run}" + (f"-{recoveries}" if recoveries else "")


def job_execution(address: JobAddress, run: str, recoveries: int = 0) -> str:
    """The name of the execution that runs a single job, after that many recoveries."""
    return f"{address.job_id}-{run}" + (f"-{recoveries}" if recoveries else "")


def dataset_execution(task_id: str) -> str:
    """The name of the execution of a load or an export, by its id."""
    return f"dataset-{task_id}"


def is_system_job(address: JobAddress) -> bool:
    """Whether a job is one of the system, in the schedule of a system job type."""
    from jobyard.jobtypes import TYPES  # here: most requests of the API start no job

    system_types = (each.name for each in TYPES.values() if each.is_system)
    return address.origin_id in map(system_schedule_id, system_types)


def edit_execution(job_id: str, task: str, number: str, recoveries: int = 0) -> str:
    """The name of the execution of a task for an edit job or a child, after some recoveries."""
    return f"{job_id}-{task}-{number}" + (f"-r{recoveries}" if recoveries else "")


def execution_arn(machine: str, name: str) -> str:
    """The ARN of an execution of the machine with that ARN, or of an alias of it."""
    return f"{unqualified(machine).replace(':stateMachine:', ':execution:')}:{name}"


@dataclass(frozen=True)
class Executions:
    """The executions of a deployment."""

    settings: Settings
    machines: "SFNClient"

    def start_batch(self, batch_id: str, command: str, run: str, recoveries: int = 0) -> None:
        """Start the execution that carries out a command for a run of a batch."""
        recovered = ExecutionRun.recovered(run, recoveries)
        document = {"origin_id": batch_id, "command": command, "run": run, "pass": recovered.number}
        name = batch_execution(batch_id, command, run, recoveries)
        self._start(self.settings.batch_machine, name, document)

    def start_job(self, address: JobAddress, run: str, recoveries: int = 0) -> None:
        """Start the execution that runs a single job."""
        document = {
            **address.document(),
            "run": run,
            "pass": ExecutionRun.recovered(run, recoveries).number,
        }
        machine = self.machine_of(address)
        self._start(machine, job_execution(address, run, recoveries), document)

    def machine_of(self, address: JobAddress) -> str:
        """The machine that runs a single job: system jobs have one whose worker has more rights."""
        settings = self.settings
        return settings.system_machine if is_system_job(address) else settings.job_machine

    def start_edit(self, job_id: str, task: str, number: str, recoveries: int = 0) -> None:
        """Start the execution that does the machine's `task` for an edit job or a child of one.

        `number` tells apart the executions of one task: they follow from the record, so that a
        repeat starts the same.
        """
        document = {"task": task, "job_id": job_id, "number": number}
        name = edit_execution(job_id, task, number, recoveries)
        self._start(self.settings.edit_machine, name, document)

    def start_dataset_task(self, task_id: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Start the execution that loads or exports a dataset. `document` has its `task`. Returns
        the document with which it was started first, which a repeat needs.
        """
        name, machine = dataset_execution(task_id), self.settings.edit_machine
        self._start(machine, name, document)
        arn = execution_arn(machine, name)
        with suppress(self.machines.exceptions.ExecutionDoesNotExist):  # Step Functions lags
            first: Mapping[str, Any] = json.loads(
                self.machines.describe_execution(executionArn=arn)["input"]
            )
            return first
        return document

    def start_manifest(self, letter_id: str, event: Mapping[str, Any]) -> None:
        """Start the execution for a new manifest, from the event about it, as its rule would.

        `letter_id` is unique to the event.
        """
        self._start(self.settings.batch_machine, f"redrive-{letter_id}", event)

    def status(self, machine: str, name: str) -> ExecutionStatus | None:
        """The status of the execution with that name; None if Step Functions has none."""
        arn = execution_arn(machine, name)
        try:
            found = self.machines.describe_execution(executionArn=arn)
        except self.machines.exceptions.ExecutionDoesNotExist:
            return None
        return ExecutionStatus(found["status"], found.get("stopDate", found["startDate"]))

    def _start(self, machine: str, name: str, document: Mapping[str, Any]) -> None:
        with suppress(self.machines.exceptions.ExecutionAlreadyExists):
            self.machines.start_execution(
                stateMachineArn=machine, name=name, input=json.dumps(document)
            )
