"""Batches with failed jobs, as a list shows them."""

from collections.abc import Sequence
from typing import Any

from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.overview import NamedBatch, Overview
from web.attention import failed_jobs_of

_CODES_NAMED = 3  # for each batch


def failing_rows(found: Overview, of_code: Sequence[NamedBatch], code: str) -> list[dict[str, Any]]:
    """Batches with failed jobs: those `of_code` if there is a code, else all, newest first."""
    open_states = {each.batch_id: each.state for each in found.open_batches}
    codes: dict[str, list[tuple[str, int]]] = {}
    for group in found.failures:
        for each in group.batches:
            codes.setdefault(each.batch_id, []).append((group.code, each.jobs))
    rows = []
    for batch in of_code if code else found.failing:
        state = open_states.get(batch.batch_id, BatchState.FAILED)
        by_code = sorted(codes.get(batch.batch_id, ()), key=lambda each: -each[1])
        rows.append(
            {
                "batch": batch,
                "state": state,
                "label": BATCH.state(state).labels["deposit"],
                "address": failed_jobs_of(batch, code),
                "codes": [
                    {"code": name, "jobs": jobs, "address": failed_jobs_of(batch, name)}
                    for name, jobs in by_code[:_CODES_NAMED]
                ],
                "more_codes": len(by_code[_CODES_NAMED:]),
            }
        )
    return rows
