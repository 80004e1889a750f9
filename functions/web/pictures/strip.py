"""The strip of a batch: all its jobs in the order of the manifest, coloured by state."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from jobyard.domain.batches.tally import COLUMN_SHARES, StripSegment
from jobyard.domain.jobs.job import PROGRESS_ORDER, JobState
from web.filters import words

Shares = tuple[tuple[JobState, int], ...]

HEIGHT = 36  # pixels on the page
MAX_LINKS = 250  # of more, neighbouring ones are joined: narrower ones cannot be hit
_LEAST_FAILED = 4  # shares: a few failed jobs among thousands are still seen
_MAX_TAB_STOPS = 40  # with more links, the legend is the way for the keyboard


def strip(
    segments: Sequence[StripSegment], jobs: int, address: str, labels: Mapping[str, str]
) -> Markup:
    """The strip of a batch with that many jobs, whose states have these `labels`; empty without
    any.

    Columns that look the same are one link to their first job: `address` and its number, from 1.
    """
    width = sum(segment.columns for segment in segments)
    if not width:
        return Markup()
    names = {state: words(label).lower() for state, label in labels.items()}
    shares = [(_with_failed(segment.shares), segment.columns) for segment in segments]
    parts = [_area(state, shares) for state in reversed(PROGRESS_ORDER)]
    return Markup(
        '<svg class="picture strip" viewBox="0 0 {} {}" preserveAspectRatio="none" height="{}"'
        ' role="group" aria-label="{}">{}{}</svg>'
    ).format(
        width,
        COLUMN_SHARES,
        HEIGHT,
        _summary(segments, jobs, width, names),
        Markup("").join(parts),
        Markup("").join(_links(segments, jobs, width, address, names)),
    )


def _with_failed(shares: Shares) -> Shares:
    """The shares with at least `_LEAST_FAILED` for failed, if there are any, from the largest."""
    failed = next((share for state, share in shares if state is JobState.FAILED), _LEAST_FAILED)
    largest = max(shares, key=lambda each: each[1])[0]
    lacking = max(_LEAST_FAILED - failed, 0)
    if largest is JobState.FAILED:
        return shares
    moved = {JobState.FAILED: lacking, largest: -lacking}
    return tuple((state, share + moved.get(state, 0)) for state, share in shares)


def _area(state: JobState, columns: Sequence[tuple[Shares, int]]) -> Markup:
    """The area of one state, drawn from the bottom; areas of earlier states cover it."""
    tops = [(_top(state, shares), number) for shares, number in columns]
    if all(top == COLUMN_SHARES for top, _ in tops):
        return Markup()
    path = [f"M0 {COLUMN_SHARES}"]
    for top, equal in groupby(tops, key=lambda pair: pair[0]):
        path.append(f"V{top}h{sum(number for _, number in equal)}")
    return Markup('<path class="s-{}" d="{}V{}z"/>').format(
        state.value, "".join(path), COLUMN_SHARES
    )


def _top(state: JobState, shares: Shares) -> int:
    """The upper end of a state in a column, from the top; the bottom if the column lacks it."""
    order = PROGRESS_ORDER.index(state)
    if all(each is not state for each, _ in shares):
        return COLUMN_SHARES
    covered = (share for each, share in shares if PROGRESS_ORDER.index(each) <= order)
    return COLUMN_SHARES - sum(covered)


def _links(
    segments: Sequence[StripSegment],
    jobs: int,
    width: int,
    address: str,
    names: Mapping[str, str],
) -> Iterator[Markup]:
    joined = [*_joined(segments, width)]
    stop = Markup(' tabindex="-1"') if len(joined) > _MAX_TAB_STOPS else Markup()
    column = 0
    for columns, states in joined:
        first, end = column * jobs // width, (column + columns) * jobs // width
        present = ", ".join(names[state] for state in PROGRESS_ORDER if state in states)
        where = f"Job {end:,}" if end - first == 1 else f"Jobs {first + 1:,}–{end:,}"  # noqa: RUF001
        yield Markup(
            '<a href="{}{}"{}><title>{}: {}</title><path class="hit" d="M{} 0h{}v15h-{}z"/></a>'
        ).format(address, first + 1, stop, where, present, column, columns, columns)
        column += columns


def _joined(
    segments: Sequence[StripSegment], width: int
) -> Iterator[tuple[int, frozenset[JobState]]]:
    """The columns and the states of each link."""
    least = 1 if len(segments) <= MAX_LINKS else -(-width // MAX_LINKS)
    columns, states = 0, frozenset[JobState]()
    for segment in segments:
        columns += segment.columns
        states |= {state for state, _ in segment.shares}
        if columns >= least:
            yield columns, states
            columns, states = 0, frozenset()
    if columns:
        yield columns, states


def _summary(
    segments: Sequence[StripSegment], jobs: int, width: int, names: Mapping[str, str]
) -> str:
    """What the strip shows, in words: states in rounded percent."""
    total = width * COLUMN_SHARES
    parts = []
    for state in PROGRESS_ORDER:
        share = sum(
            segment.columns * part
            for segment in segments
            for each, part in segment.shares
            if each is state
        )
        if share:
            percent = round(100 * share / total)
            parts.append(f"{percent or 'under 1'} % {names[state]}")
    return f"All {jobs:,} jobs in the order of the manifest: about {', '.join(parts)}"
