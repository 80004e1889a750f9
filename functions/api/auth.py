"""Authentication: the claims of an access token become an actor with roles.

The gateway has checked the token's signature, issuer, client and expiry. It accepts ID tokens too,
so the kind of token is checked here.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.accounts import groups_of
from gateway.errors import Unauthenticated
from jobyard.services.context import Actor

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of the request's token, as the gateway passes them on; empty without a token."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims: Mapping[str, Any] = authorizer.get("jwt", {}).get("claims", {})
    return claims


def actor_of(claims: Mapping[str, Any]) -> Actor:
    """The actor of an access token. Groups that are not roles give rights to collections only.

    People are identified by their id, a UUID that Cognito never reuses. The ids of programs, of the
    machine and of dropped manifests are not UUIDs, so no person can have one of them.

    Raises:
        Unauthenticated: there is no token, it is not an access token, or it has no valid id.
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
        return f"client:{claims['client_id']}"  # a program's own token, whose sub is not a UUID
    sub = str(claims.get("sub", "")).lower()
    if not _UUID.fullmatch(sub):
        raise Unauthenticated("the token's sub is not the id of a person")
    return sub
