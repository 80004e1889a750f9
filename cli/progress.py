"""Shows the progress of batches until they end: live on a terminal, else a line per change."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.client import ApiClient, Document
from cli.terminal import STYLES, counts_text, duration, state, waiting_for
from jobyard.domain.batches.batch import BATCH
from jobyard.domain.batches.progress import ended_jobs, progress_of
from jobyard.domain.jobs.job import PROGRESS_ORDER
from jobyard.domain.lifecycle import StateType
from jobyard.domain.plurals import plural

FAST_FOR_S = 5.0  # poll fast at first: most small batches end within this time
FAST_POLL_S = 0.3
POLL_S = 1.0
RATE_WINDOW_S = 20.0
LINE_EVERY_S = 10.0  # without a terminal, while the state stays the same

SEGMENTS = tuple(state.value for state in PROGRESS_ORDER)  # of a progress bar
ACTIVE = ("running", "paused", "scheduled", "stopping")
# What a new count of unchanged jobs changes in a batch.
_UNCOUNTED = {"counted_at": None, "rate": None, "seconds_left": None}


def is_over(batch: Document) -> bool:
    """Whether a batch has ended or waits for a person.

    A failed batch with jobs that are being retried is not over.
    """
    settled = BATCH.state(batch["state"]).type in {StateType.TERMINAL, StateType.INTERACTION}
    return settled and not any(batch["counts"].get(name) for name in ACTIVE)


def is_completed(batch: Document) -> bool:
    """Whether a batch completed."""
    return bool(batch["state"] == "completed")


def is_repaired(batch: Document) -> bool:
    """Whether a batch has no failed job left. Its own state stays failed until the next report."""
    return not batch["counts"].get("failed")


@dataclass
class WatchedBatch:
    """A batch as last fetched, with samples of its progress."""

    api: ApiClient
    batch_id: str
    batch: Document = field(default_factory=dict)
    etag: str = ""
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def refresh(self, at: float) -> bool:
        """Fetch the batch. True if it has changed. `at` is seconds of a monotonic clock.

        That its jobs were counted again is not a change, nor is a new estimate.
        """
        fetched = self.api.get_if_changed(f"/batches/{self.batch_id}", self.etag)
        before = self.batch
        if fetched.document is not None:
            self.batch, self.etag = fetched.document, fetched.etag
        self.samples.append((at, self.ended))
        while at - self.samples[0][0] > RATE_WINDOW_S:
            self.samples.popleft()
        return self.batch | _UNCOUNTED != before | _UNCOUNTED

    @property
    def counts(self) -> Mapping[str, int]:
        """Jobs by state."""
        counts: Mapping[str, int] = self.batch["counts"]
        return counts

    @property
    def ended(self) -> int:
        """Number of jobs that have ended."""
        return ended_jobs(self.counts)

    @property
    def total(self) -> int:
        """Number of jobs; 0 until the manifest has been read."""
        return self.counts.get("total", 0)

    @property
    def pace(self) -> str:
        """The rate over the last RATE_WINDOW_S and the time left, as text; "" if unknown."""
        progress = progress_of(list(self.samples), self.counts)
        if progress.rate is None or progress.seconds_left is None or is_over(self.batch):
            return ""
        return f"{progress.rate:.1f} jobs/s, about {duration(progress.seconds_left)} left"

    @property
    def waiting(self) -> str:
        """What the batch waits for, and until when; "" if it does not wait."""
        return waiting_for(self.batch.get("waiting_reason") or "", self.batch.get("waiting_until"))


def watch(
    api: ApiClient,
    batch_ids: Sequence[str],
    console: Console | None,
    pause: Callable[[float], None] = time.sleep,
    is_over: Callable[[Document], bool] = is_over,
) -> list[Document]:
    """Show the progress of batches until all are over. Returns their final documents.

    A terminal gets a live display, anything else lines. Without a `console` nothing is shown.
    """
    watched = [WatchedBatch(api, batch_id) for batch_id in batch_ids]
    updates = _changes(watched, pause, is_over)
    if console is None:
        for _ in updates:
            pass
    elif console.is_terminal:
        _show_live(watched, updates, console)
    else:
        _show_lines(updates, console)
    return [each.batch for each in watched]


def _changes(
    watched: Sequence[WatchedBatch],
    pause: Callable[[float], None],
    is_over: Callable[[Document], bool],
) -> Iterator[WatchedBatch]:
    """Poll the batches until all are over. Yields a batch each time it has changed."""
    open_batches = list(watched)
    for _ in polls(pause):
        for each in open_batches:
            if each.refresh(time.monotonic()):
                yield each
        open_batches = [each for each in open_batches if not is_over(each.batch)]
        if not open_batches:
            return


def clock() -> str:
    """The date and time now, for a line about a change."""
    return datetime.now(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def polls(pause: Callable[[float], None]) -> Iterator[None]:
    """Yields without end, each time something that is watched should be fetched: often at first."""
    waited_s = 0.0
    while True:
        yield
        pause_s = FAST_POLL_S if waited_s < FAST_FOR_S else POLL_S
        pause(pause_s)
        waited_s += pause_s


def _show_lines(updates: Iterator[WatchedBatch], console: Console) -> None:
    printed: dict[str, tuple[str, float]] = {}
    unprinted: dict[str, WatchedBatch] = {}
    for each in updates:
        now = time.monotonic()
        before, at = printed.get(each.batch_id, ("", 0.0))
        if each.batch["state"] != before or now - at >= LINE_EVERY_S:
            printed[each.batch_id] = (each.batch["state"], now)
            unprinted.pop(each.batch_id, None)
            console.print(line(each), markup=False, soft_wrap=True)
        else:
            unprinted[each.batch_id] = each
    for each in unprinted.values():
        console.print(line(each), markup=False, soft_wrap=True)


def line(watched: WatchedBatch) -> str:
    """The state of a batch as one line, for logs."""
    batch = watched.batch
    parts = [f"{clock()} {batch['batch_id']} {batch['state']}"]
    if watched.total:
        ended = f"{watched.ended} of {plural(watched.total, 'job')}"
        parts.append(f"{ended}: {counts_text(watched.counts)}")
    parts += [part for part in (watched.pace, watched.waiting) if part]
    return "; ".join(parts)


def _show_live(
    watched: Sequence[WatchedBatch], updates: Iterator[WatchedBatch], console: Console
) -> None:
    first = next(updates, None)  # fetch before drawing, so that an error is printed as plain text
    if first is None:
        return

    def display() -> RenderableType:
        return Group(*(_panel(each, console) for each in watched if each.batch))

    with Live(get_renderable=display, console=console, refresh_per_second=8):
        for _ in updates:
            pass


def _panel(watched: WatchedBatch, console: Console) -> RenderableType:
    batch = watched.batch
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    name = Text.assemble((batch["filename"], "bold"), "  ", state(batch["state"]))
    head.add_row(name, Text(batch["batch_id"], style="dim"))
    lines: list[RenderableType] = [head, _bar_line(watched, console)]
    if watched.total:
        lines.append(_legend(watched))
    if watched.waiting:
        lines.append(Text(watched.waiting, style="dim"))
    return Group(*lines, Text(""))


def _bar_line(watched: WatchedBatch, console: Console) -> RenderableType:
    done = f"{watched.ended}/{watched.total}" if watched.total else ""
    width = max(10, console.width - len(done) - 1)
    drawn = bar(watched.counts, width, ascii_only=console.options.ascii_only)
    return Text.assemble(drawn, " ", done)


def bar(counts: Mapping[str, int], width: int, *, ascii_only: bool = False) -> Text:
    """A bar of `width` cells, divided by job state. Every state with a job gets a cell."""
    full, rest = ("#", "-") if ascii_only else ("━", "─")
    drawn = Text()
    for name, cells in zip(SEGMENTS, _cells(counts, width), strict=True):
        waits = name == "scheduled"
        drawn.append((rest if waits else full) * cells, style=STYLES.get(name, "dim"))
    if not drawn.plain:
        drawn.append(rest * width, style="dim")
    return drawn


def _cells(counts: Mapping[str, int], width: int) -> list[int]:
    """Cells for each segment: its share of `width`, at least one if it has a job."""
    numbers = [counts.get(name, 0) for name in SEGMENTS]
    total = sum(numbers)
    if not total:
        return [0] * len(numbers)
    cells = [max(1, number * width // total) if number else 0 for number in numbers]
    largest = max(range(len(cells)), key=cells.__getitem__)
    cells[largest] += width - sum(cells)
    return cells


def _legend(watched: WatchedBatch) -> Text:
    legend = Text()
    for name in SEGMENTS:
        number = watched.counts.get(name, 0)
        if number:
            label = "waiting" if name == "scheduled" else name.replace("_", " ")
            legend.append(f"{number} {label}", style=STYLES.get(name, "dim"))
            legend.append("   ")
    if watched.pace:
        legend.append(watched.pace)
    return legend


def is_over_with_operation(
    api: ApiClient, batch_id: str, operation_id: str
) -> Callable[[Document], bool]:
    """`is_over` for a batch with a new operation.

    The operation starts a moment later; until then the batch looks unchanged. So the batch is over
    only if it was fetched after the operation was done.
    """
    path = f"/batches/{batch_id}/operations/{operation_id}"
    is_done = False

    def is_over_after(batch: Document) -> bool:
        nonlocal is_done
        was_done = is_done
        is_done = is_done or (is_over(batch) and api.get(path)["state"] == "done")
        return was_done and is_over(batch)

    return is_over_after
