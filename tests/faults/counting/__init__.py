"""The counting job type: each job leaves one object in the world, and would be seen to leave two.

The object is put only where there is none, so a step that is done again is refused and says so; the
bucket keeps versions, so a second object under one name could not hide.
"""

from botocore.exceptions import ClientError

from jobyard.domain.jobtype import Done, JobType, Outcome, Work
from jobyard.jobtypes.touch import Touch

PREFIX = "counted/"


def leaving_a_mark(work: Work, touch: Touch) -> Outcome:
    """Put the job's object; `again` in the result when an earlier try had put it already."""
    try:
        touch.s3.put_object(
            Bucket=touch.archive_bucket,
            Key=f"{PREFIX}{work.job_id}",
            Body=work.job_id.encode(),
            IfNoneMatch="*",
        )
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return Done({"again": True})
    return Done()


COUNTING = JobType(name="counting", title="Counting", steps=(("leaving_a_mark", leaving_a_mark),))
