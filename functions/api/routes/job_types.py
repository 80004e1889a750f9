"""The job types."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.schemas.job_types import JobType, JobTypeList
from jobyard.services.queries import job_types as job_type_queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/job-types",
    operation_id="list_job_types",
    tags=["Job types"],
    summary="List the job types",
    responses={200: {"description": "The job types."}, **problem_responses()},
)
def list_job_types() -> JobTypeList:
    current_request(router)
    return JobTypeList(items=[JobType.of(each) for each in job_type_queries.list_job_types()])
