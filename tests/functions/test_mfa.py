"""A role that needs a second factor counts only for a person who has set one up."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from api.auth import actor_of, claims_of, with_allowed_groups
from gateway.errors import Unavailable
from gateway.mfa import MfaCheck
from tests.people import sub_of

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ADMIN = frozenset({"admin"})
GROUPS = frozenset({"admin", "operator", "staff"})


class UserNotFound(Exception):
    """There is no such person."""


class Pool:
    """A user pool in which `protected` people have a second factor."""

    exceptions = SimpleNamespace(UserNotFoundException=UserNotFound)

    def __init__(self, *protected: str) -> None:
        self.protected = protected
        self.asked: list[str] = []
        self.is_down = False

    def admin_get_user(self, *, UserPoolId: str, Username: str) -> dict[str, Any]:
        self.asked.append(Username)
        if self.is_down:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "AdminGetUser")
        if Username == "gone":
            raise UserNotFound
        found = ["SOFTWARE_TOKEN_MFA"] if Username in self.protected else []
        return {"Username": Username, "UserMFASettingList": found}


@pytest.fixture
def check() -> MfaCheck:
    return MfaCheck(ADMIN, "pool", Pool("safe"), lambda: NOON)


@pytest.mark.parametrize(
    ("name", "groups", "allowed"),
    [
        ("safe", GROUPS, GROUPS),
        ("bare", GROUPS, GROUPS - {"admin"}),
        ("gone", GROUPS, GROUPS - {"admin"}),
        ("bare", frozenset({"operator"}), frozenset({"operator"})),
    ],
)
def test_without_a_second_factor_a_person_is_no_admin(
    check: MfaCheck, name: str, groups: frozenset[str], allowed: frozenset[str]
) -> None:
    assert check.allowed_groups(name, groups) == allowed


def test_the_user_pool_is_asked_about_admins_only_and_every_five_minutes() -> None:
    at, pool = NOON, Pool("safe")
    check = MfaCheck(ADMIN, "pool", pool, lambda: at)

    for minutes in (0, 4, 5):
        at = NOON + timedelta(minutes=minutes)
        check.allowed_groups("safe", GROUPS)
        check.allowed_groups("other", frozenset({"viewer"}))
    MfaCheck(frozenset(), "pool", pool, lambda: at).allowed_groups("bare", GROUPS)  # not demanded
    pool.is_down = True

    assert pool.asked == ["safe", "safe"]
    with pytest.raises(Unavailable):
        check.allowed_groups("bare", GROUPS)
    pool.is_down = False
    pool.protected += ("bare",)
    assert check.allowed_groups("bare", GROUPS) == GROUPS  # as soon as it is set up


def test_a_request_has_the_roles_that_its_person_may_use(check: MfaCheck) -> None:
    def roles(name: str) -> set[str]:
        claims = {
            "sub": sub_of(name),
            "username": name,
            "token_use": "access",
            "cognito:groups": "[admin operator]",
        }
        event = {"requestContext": {"authorizer": {"jwt": {"claims": claims}}}}
        return set(actor_of(claims_of(with_allowed_groups(event, check)), {}).roles)

    assert (roles("safe"), roles("bare")) == ({"admin", "operator"}, {"operator"})
    anonymous: dict[str, Any] = {"requestContext": {}}
    assert with_allowed_groups(anonymous, check) is anonymous
