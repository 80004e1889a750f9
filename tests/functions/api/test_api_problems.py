"""Refusals as HTTP problems: each has its status, and none is forgotten."""

import json

import pytest

from api.problems import STATUS, BadFields, Surprise, problem_of, wrong_fields
from jobyard.domain import errors
from jobyard.domain.errors import BrokenLifecycle, JobyardError
from tests.functions.api.asking import event

URL = "https://jobyard.example.org"
ASKED = event("GET", "/batches/b1")
REFUSALS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, JobyardError)
]


@pytest.mark.parametrize("kind", [kind for kind in STATUS if kind is not BadFields])
def test_a_refusal_has_the_status_of_the_table(kind: type[JobyardError]) -> None:
    problem = problem_of(kind("what was wrong, and what is allowed"), ASKED, URL)

    assert problem.status_code == STATUS[kind] == json.loads(str(problem.body))["status"]
    assert json.loads(str(problem.body))["detail"] == "what was wrong, and what is allowed"


def test_every_refusal_of_the_domain_is_in_the_table() -> None:
    # A broken lifecycle keeps the program from starting, so nobody is ever answered with it.
    assert set(REFUSALS) - set(STATUS) == {JobyardError, BrokenLifecycle}


def test_a_refusal_of_a_kind_nobody_listed_is_a_surprise() -> None:
    class Unheard(JobyardError):
        pass

    assert problem_of(Unheard(), ASKED, URL).status_code == STATUS[Surprise]


def test_a_wrong_field_is_named_as_it_is_written_in_the_request() -> None:
    found = wrong_fields(
        [
            {"loc": ("body", "notify", 0), "type": "value_error", "msg": "Value error, name@host"},
            {"loc": ("query", "limit"), "type": "int_parsing", "msg": "Input should be a number"},
            {"loc": ("body",), "type": "missing", "msg": "Field required"},
        ]
    )

    assert found.errors == [
        ("body.notify[0]", "name@host"),
        ("query.limit", "should be a number"),
        ("body", "this field is needed"),
    ]
