"""The demo's collections. Every depositor, operator and admin may deposit in them."""

from collections.abc import Iterable
from contextlib import closing
from typing import Any

import httpx

from cli.client import ApiClient, ApiError
from cli.local import demo_users
from cli.local.stack import Stack
from jobyard.domain.access import roles_for

# The last is the default of `jobyard submit`.
DEMO_COLLECTIONS = ("demo", "maps", "tests", "cases", "default")
GROUPS = roles_for("batch", "submit")
NAANS = ("99999", "12345")  # reserved for examples
# The collection for real manifests, which have arks of existing archives.
CASES = "cases"
ARCHIVE_NAANS = (
    *("99152", "99166", "13030", "12148", "20775", "21198", "26677", "27927", "28722"),
    *("48223", "53355", "65665", "67531", "78319", "81055", "85335", "86073", "88435"),
)


class _AdminTokens:
    """Access tokens of the demo user `admin`, signed in on first use."""

    def __init__(self, cognito: Any, client_id: str) -> None:
        self._cognito, self._client_id = cognito, client_id
        self._token = ""

    def token(self) -> str:
        return self._token or self.renew()

    def renew(self) -> str:
        admin = next(user for user in demo_users.DEMO_USERS if user.role == "admin")
        self._token = demo_users.sign_in(self._cognito, self._client_id, admin)
        return self._token


def ensure(
    cognito: Any,
    deployed: Stack,
    names: Iterable[str] = DEMO_COLLECTIONS,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Create missing collections as the demo user `admin`, who must exist.

    Tests replace `transport`, the network.

    Raises:
        ApiError, ApiUnreachable: the API refuses or does not answer.
    """
    admin = _AdminTokens(cognito, deployed.user_pool_client)
    with closing(ApiClient(deployed.api_url, admin, transport=transport)) as api:
        _make_missing(api, names)


def _make_missing(api: ApiClient, names: Iterable[str]) -> None:
    existing = {each["name"] for each in api.get("/collections", limit=100)["items"]}
    for name in names:
        if name in existing:
            continue
        body = {
            "name": name,
            "groups": list(GROUPS),
            "naans": [*NAANS, *(ARCHIVE_NAANS if name == CASES else ())],
            "accepts_drops": True,
            "reason": "for the demo",
        }
        try:
            api.post("/collections", body)
        except ApiError as error:
            if error.status != 409:  # 409: another process created it at the same time
                raise
