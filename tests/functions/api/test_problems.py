"""Refusals as HTTP problems: each has its status, and none is missing."""

import json

import pytest

from api.problems import (
    field_path,
    problem_response,
    validation_failed,
)
from gateway.errors import (
    PROBLEMS,
    InternalError,
    ValidationFailed,
    problem_type,
)
from jobyard.domain import errors
from jobyard.domain.errors import (
    InvalidCampaign,
    InvalidLifecycle,
    InvalidParameters,
    InvalidRule,
    JobyardError,
)
from tests.functions.api.api_client import event

URL = "https://jobyard.example.org"
EVENT = event("GET", "/batches/b1")
REFUSALS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, JobyardError)
]
_OF_FIELDS = {ValidationFailed, InvalidRule, InvalidCampaign, InvalidParameters}


@pytest.mark.parametrize("kind", [kind for kind in PROBLEMS if kind not in _OF_FIELDS])
def test_a_refusal_has_the_status_of_the_table(kind: type[JobyardError]) -> None:
    problem = problem_response(kind("what was wrong, and what is allowed"), EVENT, URL)

    assert problem.status_code == PROBLEMS[kind].status == json.loads(str(problem.body))["status"]
    assert json.loads(str(problem.body))["detail"] == "what was wrong, and what is allowed"


@pytest.mark.parametrize(
    ("error", "status", "where"),
    [
        (ValidationFailed([("body.title", "text")]), 422, "body.title"),
        (InvalidRule("body.rule.every", "text"), 400, "body.rule.every"),
        (InvalidCampaign([InvalidRule("window", "text")]), 400, "body.window"),
        (InvalidParameters("table", "text"), 400, "body.parameters.table"),
        (InvalidParameters("", "text"), 400, "body.parameters"),
    ],
)
def test_a_refusal_of_a_field_names_it(error: JobyardError, status: int, where: str) -> None:
    problem = json.loads(str(problem_response(error, EVENT, URL).body))

    assert problem["status"] == status
    assert problem["errors"] == [{"field": where, "message": "text"}]


def test_a_part_of_the_body_is_named_by_its_path() -> None:
    with (
        pytest.raises(InvalidRule, match=r"^body\.rule\.every: 1 or more$"),
        field_path("body.rule"),
    ):
        raise InvalidRule("every", "1 or more")


def test_every_refusal_of_the_domain_is_in_the_table() -> None:
    unlisted = {each for each in REFUSALS if problem_type(each) is PROBLEMS[InternalError]}

    # A broken lifecycle keeps the program from starting, so it is never answered.
    assert unlisted == {JobyardError, InvalidLifecycle}


def test_an_unlisted_refusal_is_an_internal_error() -> None:
    class Unlisted(JobyardError):
        pass

    assert problem_response(Unlisted(), EVENT, URL).status_code == PROBLEMS[InternalError].status


def test_a_wrong_field_is_named_as_it_is_written_in_the_request() -> None:
    found = validation_failed(
        [
            {"loc": ("body", "notify", 0), "type": "value_error", "msg": "Value error, name@host"},
            {"loc": ("query", "limit"), "type": "int_parsing", "msg": "Input should be a number"},
            {"loc": ("body",), "type": "missing", "msg": "Field required"},
        ]
    )

    assert found.errors == [
        ("body.notify[0]", "name@host"),
        ("query.limit", "should be a number"),
        ("body", "this field is required"),
    ]
