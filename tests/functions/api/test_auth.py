"""From a token's claims to a person or a machine client."""

from typing import Any

import pytest

from api.auth import actor_of as any_actor_of
from gateway.errors import Unauthenticated
from jobyard.domain.machine_clients import MACHINE_CLIENT_ROLES
from jobyard.services.context import Actor

SUB = "52fbd64e-9749-47f9-869d-ab14df2960a0"
MACHINE_CLIENT = {
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
    """The actor of a deployment with one machine client."""
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
        (" ".join(f"jobyard/{role}" for role in MACHINE_CLIENT_ROLES), set(MACHINE_CLIENT_ROLES)),
        ("", set()),
        ("admin aws.cognito.signin.user.admin other/admin xjobyard/admin", set()),
        ("jobyard/worker jobyard/reviewer jobyard/machine jobyard/ jobyard/admin/", set()),
    ],
)
def test_the_roles_of_a_machine_client_are_those_of_its_scopes(scope: str, roles: set[str]) -> None:
    assert actor_of(MACHINE_CLIENT | {"scope": scope}) == Actor(
        "client:k5x", "client:nightly", frozenset(roles)
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
        # Of another client, of another kind, or a person's and a machine client's at once.
        MACHINE_CLIENT | {"client_id": "pages", "sub": "pages"},
        MACHINE_CLIENT | {"client_id": ""},
        MACHINE_CLIENT | {"token_use": "id"},
        MACHINE_CLIENT | {"sub": SUB},
        MACHINE_CLIENT | {"cognito:groups": "[admin]"},
        MACHINE_CLIENT | {"username": "an-operator"},
        MACHINE_CLIENT | {"username": ""},
        MACHINE_CLIENT | CLAIMS,
        CLAIMS | {"username": "client:nightly"},
        {name: value for name, value in MACHINE_CLIENT.items() if name != "sub"},
    ],
)
def test_claims_without_an_access_token_of_a_person_are_refused(claims: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        actor_of(claims)
