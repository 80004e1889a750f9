"""The jobs of a batch as CSV before there is a report, in parts that a response has room for.

The columns of jobs are those of the report's jobs.csv. The outcomes of an operation are sent in the
same way.
"""

import csv
from dataclasses import dataclass, field
from io import StringIO

from jobyard.domain.batches.operation import ACCEPTED, REFUSED
from jobyard.services.access import visible_batch
from jobyard.services.batches.job_csv import COLUMNS, cells_of, safe_cells
from jobyard.services.context import QueryContext
from jobyard.services.queries.chunk_search import search_chunks
from jobyard.services.queries.jobs import JobMatch, JobReader, JobView, position_in_batch
from jobyard.services.queries.operations import operation, rows_of_outcomes

MAX_ROWS = 5_000  # in one part; the last chunk may exceed it
MAX_BYTES = 2_500_000  # of one part. Lambda returns 6 MB, and JSON may double a text of quotes.
MAX_S = 10.0  # for which one part is read. The gateway gives up after 30.
OUTCOME_COLUMNS = ("job_id", "line", "name", "outcome", "state", "message")
_OUTCOMES_PER_READ = 250


@dataclass(frozen=True)
class JobCsv:
    """A part of a list of jobs as CSV.

    `after` is the (chunk, position) where the next part begins; None after the last.
    """

    text: str
    row_count: int
    after: tuple[int, int] | None


@dataclass
class _Part:
    """A part that is being written."""

    file: StringIO = field(default_factory=StringIO)
    row_count: int = 0
    size: int = 0

    def add(self, *cells: str) -> None:
        """Add a row. Characters that UTF-8 cannot encode become `?`."""
        before = self.file.tell()
        csv.writer(self.file).writerow(cells)
        self.file.seek(before)
        self.size += len(self.file.read().encode(errors="replace"))

    def finished(self, after: tuple[int, int] | None) -> JobCsv:
        """The part as it is sent."""
        text = self.file.getvalue().encode(errors="replace").decode()
        return JobCsv(text, self.row_count, after)


def jobs_csv(
    batch_id: str,
    context: QueryContext,
    *,
    matching: JobMatch,
    after: tuple[int, int] = (0, 0),
    has_header: bool = True,
) -> JobCsv:
    """The jobs of a batch that match, from `after` on, in manifest order. The header has the names
    of the columns.

    A part ends when it is long, or when it takes long to find jobs; it may have none.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    search = search_chunks(found, matching.state, matching.code, context)
    reader = JobReader(search, context)
    part = _Part()
    if has_header:
        part.add(*COLUMNS)
    until = context.clock() + MAX_S
    chunk, position = after
    for read, number in enumerate(search.forwards(chunk)):
        first = position if number == chunk else 0
        if read and (part.row_count >= MAX_ROWS or context.clock() > until):
            return part.finished((number, first))
        for view in filter(matching.matches, reader.of_chunk(number, first)):
            if part.row_count and part.size > MAX_BYTES:
                return part.finished(position_in_batch(view.job))
            part.add(*_cells(view))
            part.row_count += 1
    return part.finished(None)


def _cells(view: JobView) -> list[str]:
    return safe_cells(cells_of(view.row, view.job, view.label))


def outcomes_csv(
    batch_id: str,
    operation_id: str,
    context: QueryContext,
    *,
    outcome: str = "",
    after: tuple[int, int] = (0, 0),
) -> JobCsv:
    """The outcomes of an operation from `after` on, in manifest order: of accepted or refused jobs,
    "" for both. An accepted job has its present state.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not see it.
    """
    part = _Part()
    part.add(*OUTCOME_COLUMNS)
    until = context.clock() + MAX_S
    following: tuple[int, int] | None = after
    while following and part.row_count < MAX_ROWS and part.size < MAX_BYTES:
        view = operation(
            *(batch_id, operation_id, context),
            outcome=outcome,
            after=following,
            limit=_OUTCOMES_PER_READ,
        )
        found = rows_of_outcomes(view, context)
        for each in view.outcomes:
            row, is_refused = found[each.job_id], each.outcome == REFUSED
            names = (each.job_id, str(row.get("line", "")), str(row.get("name", "")))
            what = (REFUSED, "") if is_refused else (ACCEPTED, each.outcome)
            part.add(*safe_cells((*names, *what, each.message)))
        part.row_count += len(view.outcomes)
        following = view.after
        if context.clock() > until:
            break
    return part.finished(following)
