"""How steps reach devices: the client for their networks, and their credentials."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from botocore.exceptions import ClientError

from jobyard.jobtypes.http_client import HttpClient

_CACHE_TTL = timedelta(minutes=5)  # credentials in memory: a campaign asks for the same ones often
_UNKNOWN = frozenset(
    {"ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"}
)


class SecretsClient(Protocol):
    """What is used of the client of Secrets Manager."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:
        """The secret with that name."""


@dataclass
class DeviceAccess:
    """The client for devices, and the secrets with their credentials.

    `secrets` returns the client of Secrets Manager; `now` is aware UTC.
    """

    http: HttpClient
    secrets: Callable[[], SecretsClient]
    now: Callable[[], datetime]
    _kept: dict[str, tuple[datetime, Mapping[str, Any] | None]] = field(
        default_factory=dict, repr=False
    )

    def credentials(self, name: str) -> Mapping[str, Any] | None:
        """The JSON object in a secret; None if there is none that the deployment may read.

        Raises:
            ClientError: Secrets Manager failed.
        """
        kept_at, found = self._kept.get(name, (None, None))
        now = self.now()
        if kept_at is None or now - kept_at >= _CACHE_TTL:
            found = self._read(name)
            self._kept[name] = now, found
        return found

    def _read(self, name: str) -> Mapping[str, Any] | None:
        try:
            text = self.secrets().get_secret_value(SecretId=name).get("SecretString", "")
        except ClientError as error:
            if error.response["Error"]["Code"] in _UNKNOWN:
                return None
            raise
        try:
            found = json.loads(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
