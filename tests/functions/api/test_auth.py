"""From a token's claims to a person or a program."""

from typing import Any

import pytest

from api.auth import actor_of as any_actor_of
from gateway.errors import Unauthenticated
from jobyard.domain.programs import PROGRAM_ROLES
from jobyard.services.context import Actor

SUB = "52fbd64e-9749-47f9-869d-ab14df2960a0"
PROGRAM = {
    "token_use": "access",
    "sub": "k5x",
    "client_id": "k5x",
    "scope": "jobyard/depositor jobyard/admin",
}
CLAIMS = {
    "token_use": "access",
    "username": "an-operator",
    "sub": SUB,
    "cognito:groups": "[operator]",
}


def actor_of(claims: dict[str, Any]) -> Actor:
    """The actor of a deployment with one program."""
    return any_actor_of(claims, {"k5x": "nightly"})


def test_scopes_give_a_person_no_role() -> None:
    assert actor_of(CLAIMS | {"scope": "openid jobyard/admin"}).roles == {"operator"}


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        ("[admin viewer]", {"admin", "viewer"}),
        ("[admin, viewer]", {"admin", "viewer"}),
        ("[operator]", {"operator"}),
        ("operator", {"operator"}),
        ("[]", set()),
        ("", set()),
        (["admin", "viewer"], {"admin", "viewer"}),
        ([], set()),
        ("[root machine operators us-east-1_abc_SAML]", set()),
        (["machine", "worker"], {"worker"}),
    ],
)
def test_roles_are_the_groups_that_are_roles(groups: str | list[str], roles: set[str]) -> None:
    person = actor_of(CLAIMS | {"cognito:groups": groups})

    assert person.roles == roles
    assert person.groups >= roles


def test_a_person_without_groups_has_no_role() -> None:
    assert actor_of(CLAIMS | {"cognito:groups": ""}).roles == frozenset()


@pytest.mark.parametrize(
    ("scope", "roles"),
    [
        ("jobyard/depositor", {"depositor"}),
        ("jobyard/depositor jobyard/viewer", {"depositor", "viewer"}),
        (" ".join(f"jobyard/{role}" for role in PROGRAM_ROLES), set(PROGRAM_ROLES)),
        ("", set()),
        ("admin aws.cognito.signin.user.admin other/admin xjobyard/admin", set()),
        ("jobyard/worker jobyard/reviewer jobyard/machine jobyard/ jobyard/admin/", set()),
    ],
)
def test_the_roles_of_a_program_are_those_of_its_scopes(scope: str, roles: set[str]) -> None:
    assert actor_of(PROGRAM | {"scope": scope}) == Actor(
        "client:k5x", "program:nightly", frozenset(roles)
    )


@pytest.mark.parametrize(
    "claims",
    [
        {},
        CLAIMS | {"token_use": "id"},
        {"username": "an-operator", "cognito:groups": "[admin]"},
        {"token_use": "access", "cognito:groups": "[admin]", "sub": SUB},
        CLAIMS | {"sub": ""},
        CLAIMS | {"sub": "machine"},
        CLAIMS | {"sub": "s3"},
        CLAIMS | {"sub": f"{SUB}\n"},
        {name: value for name, value in CLAIMS.items() if name != "sub"},
        # Of another client, of another kind, or a person's and a program's at once.
        PROGRAM | {"client_id": "pages", "sub": "pages"},
        PROGRAM | {"client_id": ""},
        PROGRAM | {"token_use": "id"},
        PROGRAM | {"sub": SUB},
        PROGRAM | {"cognito:groups": "[admin]"},
        PROGRAM | {"username": "an-operator"},
        PROGRAM | {"username": ""},
        PROGRAM | CLAIMS,
        CLAIMS | {"username": "program:nightly"},
        {name: value for name, value in PROGRAM.items() if name != "sub"},
    ],
)
def test_claims_without_an_access_token_of_a_person_are_refused(claims: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        actor_of(claims)
