"""The noop job type: a job that does nothing, so that what is measured is what Jobyard adds."""

from jobyard.domain.jobtype import Done, JobType, Outcome, Work
from jobyard.jobtypes.touch import Touch


def doing_nothing(work: Work, touch: Touch) -> Outcome:
    """Be done."""
    return Done()


NOOP = JobType(name="noop", title="Nothing", steps=(("doing_nothing", doing_nothing),))
