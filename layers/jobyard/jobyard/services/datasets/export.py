"""Exports a dataset to a file, as the machine does it: as a stream, with gzip."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jobyard.domain.datasets.base_format import line_of_feature, to_json
from jobyard.domain.datasets.commit import CommittedChange
from jobyard.domain.datasets.export import ExportRequest, ExportResult, ExportState
from jobyard.domain.datasets.feature import Feature
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import all_features, changes_since, features_in, head

_HEADER = b'{"type":"FeatureCollection","features":[\n'
_END = b"\n]}\n"


def export(document: Mapping[str, Any], context: DatasetContext) -> dict[str, Any]:
    """Write the file of a request, given as its document. Returns the state of the export.

    The file has the features of its revision, however often it is repeated.
    """
    request = ExportRequest.of_document(document)
    lines = _Counted(_lines_of(request, context))
    key = files.export_key(request.name, request.export_id)
    with files.upload_to(key, context) as upload:
        # mtime=0, so that a repeat gives the same bytes.
        with gzip.GzipFile(fileobj=upload, mode="wb", filename="", mtime=0) as packed:  # type: ignore[call-overload]
            if request.since is not None:
                packed.writelines(lines)
            else:
                _write_collection(lines, packed.write)
        size = upload.finish().size
    result = ExportResult(request.filename, lines.count, size)
    files.write(
        files.export_result_key(request.name, request.export_id),
        [json.dumps(result.document()).encode()],
        context,
    )
    return {"state": ExportState.READY.value}


class _Counted:
    """Counts lines while they pass."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.count = 0
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        for self.count, line in enumerate(self._lines, start=1):  # noqa: B020 - it is the count
            yield line


def _lines_of(request: ExportRequest, context: DatasetContext) -> Iterator[bytes]:
    dataset = head(request.name)
    if request.since is not None:
        changes = changes_since(dataset, request.since, request.revision, context)
        return map(_change_line, changes)
    features: Iterable[Feature]
    if request.extent is not None:
        features = features_in(dataset, request.revision, request.extent, context)
    else:
        features = all_features(dataset, request.revision, context)
    return map(line_of_feature, features)


def _write_collection(lines: Iterable[bytes], write: Callable[[bytes], Any]) -> None:
    write(_HEADER)
    separator = b""
    for line in lines:
        write(separator + line.rstrip(b"\n"))
        separator = b",\n"
    write(_END)


def _change_line(change: CommittedChange) -> bytes:
    document = {
        "revision": change.revision,
        "at": change.at.isoformat(),
        "edit_id": change.origin.edit_id,
        "authors": [each.name for each in change.origin.authors],
        "id": change.feature_id,
        "op": change.kind.value,
        "before": change.before and change.before.document(),
        "after": change.after and change.after.document(),
    }
    return to_json(document) + b"\n"
