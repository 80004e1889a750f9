"""From a token's claims to a person."""

import pytest

from api.auth import actor_of
from gateway.errors import Unauthenticated

SUB = "52fbd64e-9749-47f9-869d-ab14df2960a0"
CLAIMS = {
    "token_use": "access",
    "username": "an-operator",
    "sub": SUB,
    "cognito:groups": "[operator]",
}


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


def test_a_programs_token_is_named_after_its_client() -> None:
    assert actor_of({"token_use": "access", "client_id": "nightly"}).name == "nightly"


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
    ],
)
def test_claims_without_an_access_token_of_a_person_are_refused(claims: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        actor_of(claims)
