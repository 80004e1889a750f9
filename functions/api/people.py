"""Who asks: the claims of an access token become a person with roles.

The gateway has checked the token's signature, issuer, client and time; it does not care whether it
is an access token or an ID token, so that is checked here.
"""

from collections.abc import Mapping
from typing import Any

from api.problems import NotSignedIn
from jobyard.domain.lifecycle import ROLES
from jobyard.services.admitting import check_admin
from jobyard.services.asking import Person

_OF_SCHEDULES = ("schedules", "calendars")


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request's token says, as the gateway hands it on; empty when none came."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims: Mapping[str, Any] = authorizer.get("jwt", {}).get("claims", {})
    return claims


def check_admitted(event: Mapping[str, Any]) -> None:
    """See that it is an admin who asks about schedules or calendars, before what is asked is read:
    nobody else is told what is wrong with it.

    Raises:
        NotSignedIn: nobody we know asks. Forbidden: it is somebody else.
    """
    noun = event["rawPath"].removeprefix("/api/").partition("/")[0]
    if noun in _OF_SCHEDULES:
        check_admin(person_of(claims_of(event)).roles)


def person_of(claims: Mapping[str, Any]) -> Person:
    """The person an access token stands for. A group that is no role gives no right.

    Raises:
        NotSignedIn: there is no token, or it is not an access token.
    """
    if not claims:
        raise NotSignedIn("sign in, and send your access token as Authorization: Bearer …")
    if claims.get("token_use") != "access":
        raise NotSignedIn("that is not an access token; send the one called AccessToken")
    name = claims.get("username") or claims.get("client_id")
    if not name:
        raise NotSignedIn("the token names neither a person nor a program")
    return Person(str(name), roles_of(claims.get("cognito:groups", "")))


def roles_of(groups: str | list[str]) -> frozenset[str]:
    """The roles among a token's groups: a list in the token, "[admin viewer]" at the gateway."""
    names = groups if isinstance(groups, list) else groups.strip("[]").replace(",", " ").split()
    return ROLES & set(names)


def email_of(name: str, user_pool: str, cognito: Any) -> str:
    """The verified e-mail address of a person, "" when there is none."""
    try:
        found = cognito.admin_get_user(UserPoolId=user_pool, Username=name)
    except cognito.exceptions.UserNotFoundException:
        return ""  # a program's token, or of a person who has been removed
    attributes = {each["Name"]: each["Value"] for each in found["UserAttributes"]}
    return attributes.get("email", "") if attributes.get("email_verified") == "true" else ""
