"""Signs what a browser keeps for us, so that nobody can change it. Anybody can read it.

A value is signed for one purpose and is not valid for another.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from itsdangerous import Signer as _TextSigner


@dataclass(frozen=True)
class Signer:
    """`keys` are secrets, oldest first. The newest one signs, and all are accepted."""

    keys: tuple[str, ...]

    def dumps(self, value: Any, purpose: str) -> str:
        """A value (JSON) as signed text for a cookie or an address."""
        text = self._serializer(purpose).dumps(value)
        return text if isinstance(text, str) else text.decode()

    def loads(self, text: str, purpose: str) -> Any:
        """The value in a signed text; None if the signature is missing or not valid."""
        try:
            return self._serializer(purpose).loads(text)
        except BadSignature:
            return None

    def signature(self, text: str, purpose: str) -> str:
        """A signature of `text`, to be checked by `verify`."""
        return self._signature(self.keys[-1], text, purpose)

    def verify(self, signature: str, text: str, purpose: str) -> bool:
        """Whether `signature` is a signature of `text` by any of the keys."""
        given = signature.encode()
        return any(
            hmac.compare_digest(given, self._signature(key, text, purpose).encode())
            for key in self.keys
        )

    def _signature(self, key: str, text: str, purpose: str) -> str:
        return _signer([key], purpose).get_signature(text).decode()

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            list(self.keys), salt=purpose, signer_kwargs={"digest_method": hashlib.sha256}
        )


def _signer(keys: Sequence[str], purpose: str) -> _TextSigner:
    return _TextSigner(list(keys), salt=purpose, digest_method=hashlib.sha256)
