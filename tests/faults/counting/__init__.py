"""The counting job type: each job leaves one object in the world, and would be seen to leave two.

Nothing hinders a second one: the bucket keeps versions, so each time a step was done is counted.
"""

from jobyard.domain.jobs.job_type import Done, JobType, StepInput, StepResult
from jobyard.jobtypes.step_context import StorageContext

PREFIX = "counted/"


def leaving_a_mark(step_input: StepInput, context: StorageContext) -> StepResult:
    """Put the job's object, whether there is one or not."""
    context.s3.put_object(
        Bucket=context.archive_bucket,
        Key=f"{PREFIX}{step_input.job_id}",
        Body=step_input.job_id.encode(),
    )
    return Done()


COUNTING = JobType(
    name="counting",
    title="Counting",
    steps=(("leaving_a_mark", leaving_a_mark),),
    context=StorageContext,
)
