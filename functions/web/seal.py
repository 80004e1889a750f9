"""The seal: signs what a browser keeps for us, so that nobody can change it.

A value is sealed for one purpose and is not valid for another.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, Signer, URLSafeSerializer


@dataclass(frozen=True)
class Seal:
    """`keys` are secrets, oldest first. The newest one seals, and all are accepted."""

    keys: tuple[str, ...]

    def sealed(self, value: Any, purpose: str) -> str:
        """A value (JSON) as text for a cookie or an address."""
        text = self._serializer(purpose).dumps(value)
        return text if isinstance(text, str) else text.decode()

    def opened(self, text: str, purpose: str) -> Any:
        """The value in a sealed text; None if the seal is missing or broken."""
        try:
            return self._serializer(purpose).loads(text)
        except BadSignature:
            return None

    def mark(self, text: str, purpose: str) -> str:
        """A signature of `text`, to be compared by `is_mark`."""
        return self._mark(self.keys[-1], text, purpose)

    def is_mark(self, mark: str, text: str, purpose: str) -> bool:
        """Whether `mark` is a signature of `text` by any of the keys."""
        given = mark.encode()
        return any(
            hmac.compare_digest(given, self._mark(key, text, purpose).encode()) for key in self.keys
        )

    def _mark(self, key: str, text: str, purpose: str) -> str:
        return _signer([key], purpose).get_signature(text).decode()

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            list(self.keys), salt=purpose, signer_kwargs={"digest_method": hashlib.sha256}
        )


def _signer(keys: Sequence[str], purpose: str) -> Signer:
    return Signer(list(keys), salt=purpose, digest_method=hashlib.sha256)
