"""People in the user pool, the groups in their tokens, and machine clients."""

from typing import Any

from jobyard.domain.machine_clients import is_machine_client_name, machine_client_name
from jobyard.services.context import Account
from jobyard.services.settings import Settings


def groups_of(groups: str | list[str]) -> frozenset[str]:
    """A token's groups: a list, but "[admin viewer]" as API Gateway's authorizer passes it."""
    names = groups if isinstance(groups, list) else groups.strip("[]").replace(",", " ").split()
    return frozenset(names)


def account_of(name: str, settings: Settings, cognito: Any) -> Account | None:
    """The person with this user name now, or the machine client of this name, which has no
    email address; None if there is neither.
    """
    if is_machine_client_name(name):
        found = {
            machine_client_name(each): client for client, each in settings.machine_clients.items()
        }
        return Account(f"client:{found[name]}", name, "") if name in found else None
    try:
        user = cognito.admin_get_user(UserPoolId=settings.user_pool, Username=name)
    except cognito.exceptions.UserNotFoundException:
        return None  # a person who was removed
    attributes = {each["Name"]: each["Value"] for each in user["UserAttributes"]}
    verified = attributes.get("email_verified") == "true"
    email = attributes.get("email", "") if verified else ""
    return Account(attributes["sub"].lower(), user["Username"], email)
