"""Authentication: the claims of an access token become an actor with roles.

The gateway has checked the token's signature, issuer, client and expiry. It accepts ID tokens too,
so the kind of token is checked here.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.accounts import groups_of
from gateway.errors import Unauthenticated
from jobyard.domain.programs import is_program_name, program_name, roles_of_scopes
from jobyard.services.context import Actor

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of the request's token, as the gateway passes them on; empty without a token."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims: Mapping[str, Any] = authorizer.get("jwt", {}).get("claims", {})
    return claims


def actor_of(claims: Mapping[str, Any], programs: Mapping[str, str]) -> Actor:
    """The actor of an access token: a person with their groups, or one of the `programs`, which are
    names by client id, with the roles of its scopes. Groups that are not roles give rights to
    collections only.

    People are identified by their id, a UUID that Cognito never reuses. The ids of programs, of the
    machine and of dropped manifests are not UUIDs, so no person can have one of them.

    Raises:
        Unauthenticated: there is no token, it is not an access token, it has no valid id, or it is
            neither a person's nor one of a known program.
    """
    if not claims:
        raise Unauthenticated("sign in, and send your access token as Authorization: Bearer …")
    if claims.get("token_use") != "access":
        raise Unauthenticated("that is not an access token; send the one called AccessToken")
    if "username" in claims:
        return _person(claims, programs)
    return _program(claims, programs)


def _person(claims: Mapping[str, Any], programs: Mapping[str, str]) -> Actor:
    name, sub = str(claims["username"]), str(claims.get("sub", "")).lower()
    if not name or not _UUID.fullmatch(sub):
        raise Unauthenticated("the token's sub is not the id of a person")
    if claims.get("client_id") in programs or is_program_name(name):
        raise Unauthenticated("the token names a person and a program")
    return Actor(sub, name, groups_of(claims.get("cognito:groups", "")))


def _program(claims: Mapping[str, Any], programs: Mapping[str, str]) -> Actor:
    client = str(claims.get("client_id", ""))
    if client not in programs:
        raise Unauthenticated("the token names neither a person nor a program of this deployment")
    if claims.get("sub") != client or "cognito:groups" in claims:
        raise Unauthenticated("the token names a person and a program")
    roles = roles_of_scopes(str(claims.get("scope", "")).split())
    return Actor(f"client:{client}", program_name(programs[client]), roles)
