"""Authentication: the claims of an access token become an actor with roles.

The gateway has checked the token's signature, issuer, client and expiry. It accepts ID tokens too,
so the kind of token is checked here.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.accounts import groups_of
from gateway.errors import Unauthenticated
from gateway.mfa import MfaCheck
from jobyard.domain.machine_clients import (
    is_machine_client_name,
    machine_client_name,
    roles_of_scopes,
)
from jobyard.services.context import Actor

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of the request's token, as the gateway passes them on; empty without a token."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims: Mapping[str, Any] = authorizer.get("jwt", {}).get("claims", {})
    return claims


def with_allowed_groups(event: dict[str, Any], mfa: MfaCheck) -> dict[str, Any]:
    """The request with the groups that its person may use: without a second factor some roles are
    not among them.

    Raises:
        Unavailable: the user pool does not answer.
    """
    claims = claims_of(event)
    groups = groups_of(claims.get("cognito:groups", ""))
    allowed = mfa.allowed_groups(str(claims.get("username", "")), groups)
    if allowed == groups:
        return event
    context = event["requestContext"]
    jwt = {**context["authorizer"]["jwt"], "claims": {**claims, "cognito:groups": [*allowed]}}
    authorizer = {**context["authorizer"], "jwt": jwt}
    return {**event, "requestContext": {**context, "authorizer": authorizer}}


def actor_of(claims: Mapping[str, Any], machine_clients: Mapping[str, str]) -> Actor:
    """The actor of an access token: a person with their groups, or one of the `machine_clients`,
    which are names by client id, with the roles of its scopes. Groups that are not roles give
    rights to collections only.

    People are identified by their id, a UUID that Cognito never reuses. The ids of machine clients,
    of the machine and of dropped manifests are not UUIDs, so no person can have one of them.

    Raises:
        Unauthenticated: there is no token, it is not an access token, it has no valid id, or it is
            neither a person's nor one of a known machine client.
    """
    if not claims:
        raise Unauthenticated("sign in, and send your access token as Authorization: Bearer …")
    if claims.get("token_use") != "access":
        raise Unauthenticated("that is not an access token; send the one called AccessToken")
    if "username" in claims:
        return _person(claims, machine_clients)
    return _machine_client(claims, machine_clients)


def _person(claims: Mapping[str, Any], machine_clients: Mapping[str, str]) -> Actor:
    name, sub = str(claims["username"]), str(claims.get("sub", "")).lower()
    if not name or not _UUID.fullmatch(sub):
        raise Unauthenticated("the token's sub is not the id of a person")
    if claims.get("client_id") in machine_clients or is_machine_client_name(name):
        raise Unauthenticated("the token names a person and a machine client")
    return Actor(sub, name, groups_of(claims.get("cognito:groups", "")))


def _machine_client(claims: Mapping[str, Any], machine_clients: Mapping[str, str]) -> Actor:
    client = str(claims.get("client_id", ""))
    if client not in machine_clients:
        raise Unauthenticated(
            "the token names neither a person nor a machine client of this deployment"
        )
    if claims.get("sub") != client or "cognito:groups" in claims:
        raise Unauthenticated("the token names a person and a machine client")
    roles = roles_of_scopes(str(claims.get("scope", "")).split())
    return Actor(f"client:{client}", machine_client_name(machine_clients[client]), roles)
