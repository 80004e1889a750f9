"""Roles that need a second factor: a person who has set up none does not have them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.errors import Unavailable

_TTL = timedelta(minutes=5)  # what the user pool said of a person who has one
_MAX_CACHED = 1000


class MfaCheck:
    """Asks the user pool whether people who have one of `roles` have a second factor.

    Cognito asks for the code at every sign-in of a person who has one, if the pool does not require
    it of all. So it is not asked how a token was obtained.
    """

    def __init__(
        self, roles: frozenset[str], user_pool: str, cognito: Any, now: Callable[[], datetime]
    ) -> None:
        self._roles, self._user_pool = roles, user_pool
        self._cognito, self._now = cognito, now
        self._found: dict[str, datetime] = {}

    def allowed_groups(self, name: str, groups: frozenset[str]) -> frozenset[str]:
        """The groups of a person, without the roles that need a second factor if they have none.

        Raises:
            Unavailable: the user pool does not answer.
        """
        protected = groups & self._roles
        return groups - protected if protected and not self._has_mfa(name) else groups

    def _has_mfa(self, name: str) -> bool:
        now = self._now()
        if (at := self._found.get(name)) and now - at < _TTL:
            return True
        try:
            user = self._cognito.admin_get_user(UserPoolId=self._user_pool, Username=name)
        except self._cognito.exceptions.UserNotFoundException:
            return False  # a person who was removed
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("the user pool does not answer; send the request again") from error
        if not user.get("UserMFASettingList"):
            return False
        if len(self._found) >= _MAX_CACHED:
            self._found.clear()
        self._found[name] = now
        return True
