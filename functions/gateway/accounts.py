"""People in the user pool, the groups in their tokens, and programs."""

from typing import Any

from jobyard.domain.programs import is_program_name, program_name
from jobyard.services.context import Account
from jobyard.services.settings import Settings


def groups_of(groups: str | list[str]) -> frozenset[str]:
    """A token's groups: a list in the token, "[admin viewer]" at the gateway."""
    names = groups if isinstance(groups, list) else groups.strip("[]").replace(",", " ").split()
    return frozenset(names)


def account_of(name: str, settings: Settings, cognito: Any) -> Account | None:
    """The person with this user name now, or the program of this name, which has no address; None
    if there is none.
    """
    if is_program_name(name):
        found = {program_name(each): client for client, each in settings.programs.items()}
        return Account(f"client:{found[name]}", name, "") if name in found else None
    try:
        user = cognito.admin_get_user(UserPoolId=settings.user_pool, Username=name)
    except cognito.exceptions.UserNotFoundException:
        return None  # a person who was removed
    attributes = {each["Name"]: each["Value"] for each in user["UserAttributes"]}
    verified = attributes.get("email_verified") == "true"
    email = attributes.get("email", "") if verified else ""
    return Account(attributes["sub"].lower(), user["Username"], email)
