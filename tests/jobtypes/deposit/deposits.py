"""Deposits in tests: a job's input, its steps in order, and the objects in the end."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jobyard.domain.jobs.job_type import Done, Skipped, StepInput, StepResult
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.step_context import StorageContext
from jobyard.store import tables

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

BATCH = "b" + "a" * 20
CHECKM = """#%checkm_0.7
#%profile | http://uc3.cdlib.org/registry/ingest/manifest/mrt-ingest-manifest
#%prefix | mrt: | http://merritt.cdlib.org/terms#
#%prefix | nfo: | http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#
#%fields | nfo:fileUrl | nfo:hashAlgorithm | nfo:hashValue | nfo:fileSize | \
nfo:fileLastModified | nfo:fileName | mrt:mimeType
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_key(content: bytes) -> str:
    digest = sha256(content)
    return f"content/sha256/{digest[:2]}/{digest[2:4]}/{digest}"


def step_input(
    entry: Mapping[str, Any],
    job: int = 0,
    parameters: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> StepInput:
    return StepInput(
        batch_id=BATCH,
        job_id=f"{BATCH}.0.{job}",
        collection="maps",
        entry={"line": 1, **entry},
        parameters=parameters or {},
        data=data or {},
        attempt=1,
    )


def file_entry(url: str, name: str = "map.tif", **fields: Any) -> dict[str, Any]:
    return {"kind": "file", "url": url, "name": name, **fields}


def checkm(*rows: str) -> bytes:
    """A manifest of one object's files."""
    return (CHECKM + "".join(f"{row}\n" for row in rows) + "#%eof\n").encode()


@dataclass
class Driven:
    """The results of a job's steps, up to the first that did not succeed."""

    step_input: StepInput
    outcomes: dict[str, StepResult] = field(default_factory=dict)

    @property
    def last(self) -> StepResult:
        return list(self.outcomes.values())[-1]

    @property
    def ended_well(self) -> bool:
        return len(self.outcomes) == len(DEPOSIT.steps) and isinstance(self.last, Done | Skipped)

    def run_remaining(self, context: StorageContext) -> "Driven":
        """Run the steps from the first unfinished one."""
        for name, step in DEPOSIT.steps:
            if isinstance(self.outcomes.get(name), Done | Skipped):
                continue
            outcome = self.outcomes[name] = step(self.step_input, context)
            if isinstance(outcome, Done):
                data = {**self.step_input.data, **outcome.result}
                self.step_input = replace(self.step_input, data=data)
            if not isinstance(outcome, Done | Skipped):
                break
        return self


def drive(step_input: StepInput, context: StorageContext) -> Driven:
    return Driven(step_input).run_remaining(context)


def held(context: StorageContext, bucket: str) -> dict[str, bytes]:
    """All objects of a bucket, by key."""
    pages = context.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {
        found["Key"]: context.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        for page in pages
        for found in page.get("Contents", [])
    }


def etags(context: StorageContext, bucket: str) -> dict[str, str]:
    """The ETags of all objects of a bucket, by key; quicker than `held`."""
    pages = context.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"]: found["ETag"] for page in pages for found in page.get("Contents", [])}


def empty(s3: "S3Client", bucket: str) -> None:
    """Remove all objects of a bucket."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        found: list[ObjectIdentifierTypeDef] = [
            {"Key": each["Key"]} for each in page.get("Contents", [])
        ]
        if found:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": found})


def forget_objects() -> None:
    """Remove all records of objects and their identifiers."""
    for model in (tables.ObjectItem, tables.IdentifierItem):
        for item in model.scan():
            item.delete()
