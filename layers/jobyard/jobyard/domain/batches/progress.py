"""The progress of a batch: how fast its jobs end, and how long the others will take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobState

MAX_SAMPLES = 8  # that a tally keeps
SAMPLES_FOR_S = 120.0  # but at least two
_ENDED = tuple(state.value for state in JobState if state not in OPEN_JOB_STATES)
# A time in seconds from any start, and the number of jobs that had ended by then.
Sample = tuple[float, int]


@dataclass(frozen=True)
class BatchProgress:
    """Jobs that end per second, and the seconds until all have; None if that is not known.

    Both have two digits: an estimate is no better, and does not change each time it is read.
    """

    rate: float | None = None
    seconds_left: float | None = None


UNKNOWN_PROGRESS = BatchProgress()


def ended_jobs(counts: Mapping[str, int]) -> int:
    """How many jobs have ended, by the counts of a batch."""
    return sum(counts.get(state, 0) for state in _ENDED)


def progress_of(samples: Sequence[Sample], counts: Mapping[str, int]) -> BatchProgress:
    """The progress by two or more samples, oldest first, and the counts of a batch now.

    It is unknown if no job ended between them, or if none is left.
    """
    left = counts.get("total", 0) - ended_jobs(counts)
    if len(samples) < 2 or left <= 0:
        return UNKNOWN_PROGRESS
    (first_at, first), (last_at, last) = samples[0], samples[-1]
    if last_at <= first_at or last <= first:
        return UNKNOWN_PROGRESS
    rate = (last - first) / (last_at - first_at)
    return BatchProgress(_two_digits(rate), _two_digits(left / rate))


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def with_sample(samples: Sequence[Sample], latest: Sample) -> tuple[Sample, ...]:
    """The samples with the latest one, without those that are too old. If jobs ran again, the
    earlier samples say nothing any more.
    """
    if samples and samples[-1][1] > latest[1]:
        return (latest,)
    recent = [each for each in samples[:-1] if latest[0] - each[0] <= SAMPLES_FOR_S]
    return (*recent, *samples[-1:], latest)[-MAX_SAMPLES:]
