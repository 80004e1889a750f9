"""Programs: clients of the API that are no people, with tokens of their own (OAuth 2.0, 4.4)."""

from collections.abc import Iterable

# What a program may be. Workers and reviewers of edit jobs are people in teams.
PROGRAM_ROLES = ("viewer", "depositor", "operator", "planner", "admin")
SCOPES = "jobyard/"  # before a role, it is the scope that gives the role
_NAME = "program:"


def program_name(name: str) -> str:
    """What histories and the activity call a program. No person may have such a name."""
    return f"{_NAME}{name}"


def is_program_name(name: str) -> bool:
    """Whether a name is a program's."""
    return name.startswith(_NAME)


def roles_of_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """The roles that the scopes of a program's token give."""
    roles = (scope.removeprefix(SCOPES) for scope in scopes if scope.startswith(SCOPES))
    return frozenset(roles).intersection(PROGRAM_ROLES)
