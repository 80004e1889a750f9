"""Who asks: the claims of an access token become a person with roles.

The gateway has checked the token's signature, issuer, client and time; it does not care whether it
is an access token or an ID token, so that is checked here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.problems import Unauthenticated
from jobyard.services.context import Actor

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request's token says, as the gateway hands it on; empty when none came."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims: Mapping[str, Any] = authorizer.get("jwt", {}).get("claims", {})
    return claims


def person_of(claims: Mapping[str, Any]) -> Actor:
    """The person an access token stands for. A group that is no role gives no right by itself.

    People are known by their id, which Cognito makes as a UUID and gives to nobody again. So the
    machine, and what is dropped without anybody, have ids that no person can have.

    Raises:
        Unauthenticated: there is no token, it is not an access token, or names nobody by an id.
    """
    if not claims:
        raise Unauthenticated("sign in, and send your access token as Authorization: Bearer …")
    if claims.get("token_use") != "access":
        raise Unauthenticated("that is not an access token; send the one called AccessToken")
    name = claims.get("username") or claims.get("client_id")
    if not name:
        raise Unauthenticated("the token names neither a person nor a program")
    groups = groups_of(claims.get("cognito:groups", ""))
    return Actor(_id_of(claims), str(name), groups)


def _id_of(claims: Mapping[str, Any]) -> str:
    if "username" not in claims:
        return f"client:{claims['client_id']}"  # a program's own token, whose sub is no UUID
    sub = str(claims.get("sub", "")).lower()
    if not _UUID.fullmatch(sub):
        raise Unauthenticated("the token's sub is no id of a person")
    return sub


def groups_of(groups: str | list[str]) -> frozenset[str]:
    """A token's groups: a list in the token, "[admin viewer]" at the gateway."""
    names = groups if isinstance(groups, list) else groups.strip("[]").replace(",", " ").split()
    return frozenset(names)


@dataclass(frozen=True)
class Account:
    """Somebody in the user pool. `email` is their verified address, "" when there is none."""

    sub: str
    name: str
    email: str


def account_of(name: str, user_pool: str, cognito: Any) -> Account | None:
    """Who has a name now, None when nobody has."""
    try:
        found = cognito.admin_get_user(UserPoolId=user_pool, Username=name)
    except cognito.exceptions.UserNotFoundException:
        return None  # a program's token, or of a person who has been removed
    attributes = {each["Name"]: each["Value"] for each in found["UserAttributes"]}
    verified = attributes.get("email_verified") == "true"
    email = attributes.get("email", "") if verified else ""
    return Account(attributes["sub"].lower(), found["Username"], email)
