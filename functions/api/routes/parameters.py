"""Parameters of more than one route."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from jobyard.domain.edits.attachment import MAX_ATTACHMENTS
from jobyard.domain.lifecycle import Lifecycle

BatchId = Annotated[str, Path(description="The batch's id.", max_length=64)]
Cursor = Annotated[
    str,
    Query(
        description="`next_cursor` of the page before; left out, the first page.", max_length=1024
    ),
]
MAX_REPORT = 1_000_000
ReportNumber = Annotated[
    int, Path(description="The number of the report, from 1.", ge=1, le=MAX_REPORT)
]
Limit = Annotated[int, Query(description="How many items at most.", ge=1, le=200)]
AttachmentIndex = Annotated[
    int, Path(description="The number of the attachment.", ge=1, le=1_000 * MAX_ATTACHMENTS)
]


def event_parameter(lifecycle: Lifecycle) -> Path:
    """The event in a path: one that a person may send in some state of `lifecycle`."""
    events = [*lifecycle.people_events()]
    return Path(description="The event.", json_schema_extra={"enum": events}, max_length=64)
