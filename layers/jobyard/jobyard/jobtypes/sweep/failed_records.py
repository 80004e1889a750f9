"""The failed records of a sweep, as a file of JSON Lines in the work bucket.

While the sweep runs they are in parts. A page's part is stored before the page is written, and the
page's checkpoint names it: so the records in the parts are those that the checkpoint counts. A part
has all records of the pages before it until it is full; then the next one begins, and names it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobyard.domain.jobs.checkpoint import failed_file_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RECORD_PART_BYTES = 64 * 1024  # of a full part; each page with failures stores one again
MAX_PARTS = 256  # so the file has up to about 16 MB; records beyond are counted only


@dataclass(frozen=True)
class _RecordPart:
    """A part: its number from 1, the name of the one before it, and its lines."""

    number: int = 1
    previous: str = ""
    lines: bytes = b""

    def body(self) -> bytes:
        """The part as it is stored: a line about it, then its lines."""
        head = json.dumps({"number": self.number, "previous": self.previous})
        return head.encode() + b"\n" + self.lines

    @classmethod
    def of(cls, body: bytes) -> "_RecordPart":
        """The part that is stored as `body`."""
        head, _, lines = body.partition(b"\n")
        return cls(**json.loads(head), lines=lines)


@dataclass
class FailedRecordParts:
    """The failed records of a job, in the work bucket."""

    s3: "S3Client"
    bucket: str
    job_id: str
    _known: dict[str, _RecordPart] = field(default_factory=dict)  # the last parts, by name

    def with_page(self, last: str, failures: Mapping[str, str]) -> str:
        """Store the part with the failures of a page, by key, after the part named `last` ("" for
        none). Returns its name; that of `last` if nothing is added.
        """
        part = self._part(last) if last else _RecordPart()
        if len(part.lines) >= RECORD_PART_BYTES:
            part = _RecordPart(part.number + 1, last)
        if not failures or part.number > MAX_PARTS:
            return last
        lines = "".join(_line(key, reason) for key, reason in failures.items())
        part = _RecordPart(part.number, part.previous, part.lines + lines.encode(errors="replace"))
        body = part.body()
        name = f"{part.number:03d}-{hashlib.sha256(body).hexdigest()[:24]}"
        self.s3.put_object(Bucket=self.bucket, Key=self._part_key(name), Body=body)
        self._known = {name: part, last: self._known[last]} if last in self._known else {name: part}
        return name

    def write_file(self, last: str, number: int) -> int:
        """Write the file of this number from the parts up to `last`. Returns how many records it
        lists. A repeat writes the same file.
        """
        lines = b"".join(reversed([part.lines for part in self._parts(last)]))
        self.s3.put_object(
            Bucket=self.bucket,
            Key=failed_file_key(self.job_id, number),
            Body=lines,
            ContentType="application/x-ndjson",
        )
        return lines.count(b"\n")

    def _parts(self, last: str) -> Iterator[_RecordPart]:
        """The parts, last to first."""
        while last:
            part = self._part(last)
            yield part
            last = part.previous

    def _part(self, name: str) -> _RecordPart:
        if name not in self._known:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self._part_key(name))
            self._known[name] = _RecordPart.of(answer["Body"].read())
        return self._known[name]

    def _part_key(self, name: str) -> str:
        return f"staging/failed-records/{self.job_id}/{name}.jsonl"


def _line(key: str, reason: str) -> str:
    return json.dumps({"key": key, "reason": reason}, ensure_ascii=False) + "\n"
