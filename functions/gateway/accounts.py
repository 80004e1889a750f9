"""People in the user pool, and the groups in their tokens."""

from typing import Any

from jobyard.services.context import Account


def groups_of(groups: str | list[str]) -> frozenset[str]:
    """A token's groups: a list in the token, "[admin viewer]" at the gateway."""
    names = groups if isinstance(groups, list) else groups.strip("[]").replace(",", " ").split()
    return frozenset(names)


def account_of(name: str, user_pool: str, cognito: Any) -> Account | None:
    """The person with this user name now; None if there is none."""
    try:
        user = cognito.admin_get_user(UserPoolId=user_pool, Username=name)
    except cognito.exceptions.UserNotFoundException:
        return None  # the name of a program, or of a person who was removed
    attributes = {each["Name"]: each["Value"] for each in user["UserAttributes"]}
    verified = attributes.get("email_verified") == "true"
    email = attributes.get("email", "") if verified else ""
    return Account(attributes["sub"].lower(), user["Username"], email)
