"""The inputs of the functions that state machines and event rules invoke, as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.batches.batch import ManifestSource
from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.runs import ExecutionRun


@dataclass(frozen=True)
class ExecutionInput:
    """What an execution works on: a run over a batch or campaign, the job at `address`, or a new
    `manifest`.

    `origin_id` is "" with a new manifest. `command` is what the execution was started for, "" after
    its first step. `error` is the error of the last task, as Step Functions reports it; None if it
    did not fail. After a pass, `pass_began` is when it began at the earliest; None after a wait
    without a pass. `waits` counts those of the execution.
    """

    origin_id: str
    run: ExecutionRun
    command: str = ""
    address: JobAddress | None = None
    manifest: ManifestSource | None = None
    error: Any = None
    pass_began: datetime | None = None
    waits: int = 0

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ExecutionInput":
        """The input in a state machine's document, or in S3's event about a new object.

        Raises:
            KeyError: a field is missing.
        """
        error = document.get("error")
        if "detail" in document:
            manifest = manifest_source(document["detail"])
            return cls("", ExecutionRun(MAIN_RUN, 1), manifest=manifest, error=error)
        return cls(
            origin_id=document["origin_id"],
            run=ExecutionRun(document["run"], document["pass"]),
            command=document.get("command", ""),
            address=JobAddress.of_document(document),
            error=error,
            pass_began=_pass_began(document),
            waits=document.get("waits", 0),
        )


def _pass_began(document: Mapping[str, Any]) -> datetime | None:
    """When a machine began a pass after a Wait; None if there was none."""
    if "until" not in document or document.get("next") == "settle_later":
        return None
    return datetime.fromisoformat(document["until"])


def manifest_source(detail: Mapping[str, Any]) -> ManifestSource:
    """The object in the detail of S3's "Object Created" event; its version id may be missing."""
    found = detail["object"]
    return ManifestSource(
        detail["bucket"]["name"], found["key"], found.get("version-id", ""), found["size"]
    )


@dataclass(frozen=True)
class ChunkInput:
    """A child of the batch machine's Map: one pass of a run over the jobs of a chunk."""

    origin_id: str
    run: ExecutionRun
    chunk: Chunk

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ChunkInput":
        """The input in the Map's document for one child."""
        run = ExecutionRun(document["run"], document["pass"])
        # An execution that began before version 0.2.0 has the fields of the line in the document.
        chunk = Chunk.from_index_fields(document.get("line", document))
        return cls(document["origin_id"], run, chunk)


@dataclass(frozen=True)
class FailedExecution:
    """An execution that failed. `origin_id` is "" if it was started for a new manifest."""

    arn: str
    status: str
    origin_id: str

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> "FailedExecution":
        """The execution in the detail of Step Functions' event about its status."""
        document = json.loads(detail.get("input") or "{}")
        return cls(detail["executionArn"], detail["status"], document.get("origin_id", ""))
