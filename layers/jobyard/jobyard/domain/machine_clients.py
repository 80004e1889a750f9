"""Machine clients: clients of the API that are no people (OAuth 2.0, 4.4: client credentials)."""

from collections.abc import Iterable

# What a machine client may be. Workers and reviewers of edit jobs are people in teams.
MACHINE_CLIENT_ROLES = ("viewer", "depositor", "operator", "planner", "admin")
SCOPES = "jobyard/"  # before a role, it is the scope that gives the role
_NAME = "client:"


def machine_client_name(name: str) -> str:
    """What histories and the activity call a machine client. No person may have such a name."""
    return f"{_NAME}{name}"


def is_machine_client_name(name: str) -> bool:
    """Whether a name is a machine client's."""
    return name.startswith(_NAME)


def roles_of_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """The roles that the scopes of a machine client's token give."""
    roles = (scope.removeprefix(SCOPES) for scope in scopes if scope.startswith(SCOPES))
    return frozenset(roles).intersection(MACHINE_CLIENT_ROLES)
