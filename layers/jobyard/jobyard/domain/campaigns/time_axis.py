"""The time axis of a drawn campaign. The time in which its window is closed is drawn short, so that
the windows have room.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.campaigns.campaign import Campaign

MAX_DRAWN_OPENINGS = 7
# Columns of a text.
_COLUMNS = 72
_GAP_COLUMNS = 4  # of a time in which the window is closed
_LEAST_COLUMNS = 6  # of an opening


@dataclass(frozen=True)
class AxisPart:
    """A part of the axis: a time in which the window is open, or one in which it is closed."""

    start: datetime
    end: datetime
    is_open: bool
    column: int  # the first one
    columns: int

    def column_of(self, instant: datetime) -> int:
        """The column of an instant of this part."""
        elapsed = (
            (instant - self.start)
            * self.columns
            // max(self.end - self.start, timedelta(seconds=1))
        )
        return self.column + min(max(elapsed, 0), self.columns - 1)


@dataclass(frozen=True)
class TimeAxis:
    """The columns of a drawing. `is_cut`: later windows are not drawn."""

    parts: tuple[AxisPart, ...]
    zone: str
    is_cut: bool

    @classmethod
    def of(cls, campaign: Campaign, until: datetime, scale: int = 1) -> "TimeAxis":
        """The axis of a campaign from its creation to `until`, with `scale` times the columns of a
        text.
        """
        end = max(until, campaign.created_at + timedelta(seconds=1))
        spans = list(_spans(campaign, end))
        openings = [each for each in spans if each[2]]
        is_cut = len(openings) > MAX_DRAWN_OPENINGS
        if is_cut:
            last = spans.index(openings[MAX_DRAWN_OPENINGS - 1])
            spans, openings = spans[: last + 1], openings[:MAX_DRAWN_OPENINGS]
        gaps = len(spans) - len(openings)
        gap = _GAP_COLUMNS * scale
        room = _COLUMNS * scale - gaps * gap
        total = sum((end - start for start, end, _ in openings), timedelta())
        parts: list[AxisPart] = []
        column = 0
        for start, finish, is_open in spans:
            columns = gap
            if is_open:
                columns = max(int(room * ((finish - start) / total)), _LEAST_COLUMNS * scale)
            parts.append(AxisPart(start, finish, is_open, column, columns))
            column += columns
        return cls(tuple(parts), campaign.rules.schedule.zone, is_cut)

    @property
    def columns(self) -> int:
        """The number of all columns."""
        last = self.parts[-1]
        return last.column + last.columns

    def column_of(self, instant: datetime) -> int:
        """The column of an instant; the last one for all that are later."""
        index = bisect_right([each.start for each in self.parts], instant) - 1
        return self.parts[max(index, 0)].column_of(instant)

    def shows(self, instant: datetime) -> bool:
        """Whether an instant is drawn."""
        return not self.is_cut or instant < self.parts[-1].end


def _spans(campaign: Campaign, end: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
    """Spans in which the window is closed or open, from the creation to `end`, in turn."""
    at = campaign.created_at
    for opening in campaign.openings.all:
        if opening.start >= end:
            break
        if at < opening.start:
            yield at, opening.start, False
        at = min(opening.end, end)
        yield opening.start, at, True
    if at < end:
        yield at, end, False
