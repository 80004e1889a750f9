"""The counting job type: each job leaves one object in the world, and would be seen to leave two.

Nothing hinders a second one: the bucket keeps versions, so each time a step was done is counted.
"""

from jobyard.domain.jobs.job_type import Done, JobType, Outcome, StepInput
from jobyard.jobtypes.step_context import StepContext

PREFIX = "counted/"


def leaving_a_mark(work: StepInput, touch: StepContext) -> Outcome:
    """Put the job's object, whether there is one or not."""
    touch.s3.put_object(
        Bucket=touch.archive_bucket, Key=f"{PREFIX}{work.job_id}", Body=work.job_id.encode()
    )
    return Done()


COUNTING = JobType(name="counting", title="Counting", steps=(("leaving_a_mark", leaving_a_mark),))
