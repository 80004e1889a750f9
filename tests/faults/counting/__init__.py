"""The counting job type: each job leaves one object in the world, and two would be seen.

Nothing prevents a second one: the bucket keeps versions, so each run of a step is counted.
"""

from jobyard.domain.jobs.job_type import Done, JobType, StepInput, StepResult
from jobyard.jobtypes.step_context import StorageContext

PREFIX = "counted/"


def leaving_a_mark(step_input: StepInput, context: StorageContext) -> StepResult:
    """Put the job's object, whether it exists or not."""
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
