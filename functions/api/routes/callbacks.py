"""Callbacks: a function answers the call that it got, with the call's token and no other one."""

from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.problems import problem_responses
from api.schemas.callbacks import CallbackReceipt, CallbackRequest
from jobyard.domain.errors import BadRequest, Gone, NotFound, StaleState
from jobyard.services.jobs.callbacks import answer_call

if TYPE_CHECKING:
    from api.context import AppContext

router = Router()  # type: ignore[no-untyped-call]


@router.post(
    "/api/callbacks",
    operation_id="answer_call",
    tags=["Callbacks"],
    summary="Answer a call of a job of type lambda",
    description="It needs no access token, but the token that the function got with its event. The "
    "first answer counts; the same answer again changes nothing.",
    responses={
        200: {"description": "The job takes the answer when it polls next."},
        **problem_responses(BadRequest, NotFound, Gone, StaleState),
    },
)
def answer(body: CallbackRequest) -> CallbackReceipt:
    app: AppContext = router.context["app"]
    answer_call(body.token, body.answer(), app.now())
    return CallbackReceipt(status=body.status)
