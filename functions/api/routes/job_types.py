"""The catalogue of job types."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.schemas.job_types import JobType, JobTypes
from jobyard.services import queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/job-types",
    operation_id="list_job_types",
    tags=["Job types"],
    summary="What jobs can do",
    responses={200: {"description": "The job types."}, **problem_responses()},
)
def list_job_types() -> JobTypes:
    current_request(router)
    return JobTypes(
        items=[
            JobType(
                name=each.name,
                title=each.title,
                words=dict(each.words),
                steps=[name for name, _ in each.steps],
                parameters=dict(each.takes),
                takes_manifests=each.takes_manifests,
                is_scheduled=each.scheduled,
                is_system=each.system,
            )
            for each in queries.list_job_types()
        ]
    )
