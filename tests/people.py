"""The ids of people in tests: each name has one, as in a user pool."""

from uuid import UUID, uuid5

_POOL = UUID("8f2d7f4e-6a0b-4c53-9a3e-1d1b6c1f0a55")


def sub_of(name: str) -> str:
    """The id of the person of that name."""
    return str(uuid5(_POOL, name))
