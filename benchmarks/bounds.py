"""The bound of each figure, as in docs/performance.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMES = (
    "cost",
    "throughput",
    "manifest",
    "coldstart",
    "deposit",
    "small_deposits",
    "recurrence",
    "due",
    "report",
    "pages",
    "first_paint",
    "campaign",
    "rollout",
    "datasets",
    "edit",
)


@dataclass(frozen=True)
class Bound:
    """`figure` of `benchmark` has to be at most `value`, or at least if `is_minimum`."""

    benchmark: str
    figure: str
    value: float
    is_minimum: bool = False

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is within the bound."""
        return measured >= self.value if self.is_minimum else measured <= self.value

    def text(self) -> str:
        """The bound as text: `≤ 2.1`."""
        return f"{'≥' if self.is_minimum else '≤'} {self.value:g}"

    def distance(self, measured: float) -> str:
        """How far `measured` is from the bound, in percent of the bound unless that is 0."""
        verdict = "met" if self.is_met(measured) else "MISSED"
        if not self.value:
            return verdict if self.is_met(measured) else f"{verdict} by {measured:g}"
        return f"{verdict} by {abs(measured - self.value) / self.value:.0%}"


BOUNDS = (
    Bound("cost", "write_units_per_job", 2.1),
    Bound("cost", "transitions_per_job", 0.035),
    Bound("cost", "invocations_per_job", 0.015),
    Bound("cost", "record_bytes", 1023),
    Bound("throughput", "ratio", 1.5, is_minimum=True),
    Bound("throughput", "cpu_ratio", 0.35),
    Bound("throughput", "first_job_s", 1.0),
    Bound("throughput", "first_job_million_s", 1.0),
    Bound("manifest", "ratio", 2.5, is_minimum=True),
    Bound("manifest", "growth_mb", 40.0),
    Bound("coldstart", "worker_ratio", 0.6),
    Bound("coldstart", "api_ratio", 0.5),
    Bound("coldstart", "web_ratio", 0.6),
    Bound("deposit", "ratio", 0.95, is_minimum=True),
    Bound("small_deposits", "cpu_ratio", 2.0),
    Bound("small_deposits", "deposits_per_s", 90.0, is_minimum=True),
    Bound("recurrence", "ratio", 14.0, is_minimum=True),
    Bound("due", "reads_per_schedule", 1.2),
    Bound("report", "call_on_lambda_s", 450.0),
    Bound("report", "peak_mb", 256.0),
    Bound("report", "disk_mb", 512.0),
    Bound("pages", "largest_bytes", 60_000),
    Bound("pages", "batch_poll_reads", 3),
    Bound("pages", "shared_poll_reads", 3),
    Bound("pages", "most_poll_reads", 3),
    Bound("pages", "failed_jobs_reads", 200),
    Bound("first_paint", "slowest_ms", 1000),
    Bound("campaign", "writes_per_task", 3.1),
    Bound("campaign", "writes_per_task_of_few", 3.1),
    Bound("campaign", "writes_per_further_attempt", 3.0),
    Bound("campaign", "rest_writes_per_task", 0),
    Bound("campaign", "growth_mb", 10.0),
    Bound("rollout", "grant_error", 0.05),
    Bound("rollout", "settle_calls_last", 6),
    Bound("rollout", "settle_items_last", 15),
    Bound("datasets", "small_commit_units", 15),
    Bound("datasets", "lookup_reads", 3),
    Bound("datasets", "bytes_per_feature", 500),
    Bound("edit", "writes_per_change", 1.1),
    Bound("edit", "small_commit_units", 15),
    Bound("edit", "growth_mb", 10),
)


def compare(benchmark: str, figures: Mapping[str, Any]) -> list[tuple[str, float, str, str]]:
    """Rows for the figures that have bounds: name, value, bound, and the distance as text.

    Raises:
        KeyError: a figure with a bound was not measured.
    """
    return [
        (
            f"{benchmark}.{bound.figure}",
            figures[bound.figure],
            bound.text(),
            bound.distance(figures[bound.figure]),
        )
        for bound in BOUNDS
        if bound.benchmark == benchmark
    ]
