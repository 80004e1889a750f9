"""Callbacks: a function that a job has called answers later and once, with a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from jobyard.domain.compaction import json_bytes
from jobyard.domain.errors import BadRequest, Gone, NotFound, StaleState
from jobyard.domain.text import MESSAGE_BYTES, clean, clean_values

RESULT_BYTES = 1024  # of the result in an answer, as JSON
MAX_TOKENS = 8  # of a call: each attempt gets one, and those of the last eight attempts are valid
_UNKNOWN = "there is no callback with this token"


class CallbackStatus(StrEnum):
    """How the work of the call ended, as its answer says."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class CallbackAnswer:
    """An answer. `result` has JSON values, `message` says why the work failed."""

    status: CallbackStatus
    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @classmethod
    def of(cls, status: str, result: Mapping[str, Any], message: str) -> "CallbackAnswer":
        """The answer that somebody sent, cleaned.

        Raises:
            BadRequest: its result is too large.
        """
        cleaned = clean_values(result)
        if json_bytes(cleaned) > RESULT_BYTES:
            raise BadRequest(f"a result has up to {RESULT_BYTES} bytes as JSON")
        return cls(CallbackStatus(status), cleaned, clean(message, MESSAGE_BYTES))


@dataclass(frozen=True)
class Callback:
    """The callback of a call. `key` is the call's idempotency key; `version` is 0 until stored.

    `tokens` are the SHA-256 digests of its tokens, each with the time until which it is valid: one
    who reads the record cannot answer. The first answer counts.
    """

    key: str
    version: int = 0
    tokens: Mapping[str, datetime] = field(default_factory=dict)
    answer: CallbackAnswer | None = None

    def issued(self, secret: str, until: datetime) -> "Callback":
        """The callback with one more token, whose `secret` nobody can guess."""
        tokens = {**self.tokens, _digest(secret): until}
        kept = dict(list(tokens.items())[-MAX_TOKENS:])
        return replace(self, version=self.version + 1, tokens=kept)

    def answered(self, secret: str, answer: CallbackAnswer, now: datetime) -> "Callback":
        """The callback after an answer; unchanged if it is a repeat.

        Raises:
            NotFound: the token is none of this call. Gone: it has expired.
            StaleState: the call has another answer already.
        """
        digest = _digest(secret)
        until = next((at for each, at in self.tokens.items() if compare_digest(each, digest)), None)
        if until is None:
            raise NotFound(_UNKNOWN)
        if self.answer == answer:
            return self
        if self.answer is not None:
            raise StaleState("the call was answered before, and the first answer counts")
        if now >= until:
            raise Gone("the token has expired: the job does not wait for an answer any more")
        return replace(self, version=self.version + 1, answer=answer)


def token_of(key: str, secret: str) -> str:
    """The token that answers the call with `key`."""
    return f"{secret}.{key}"


def split_token(token: str) -> tuple[str, str]:
    """The key and the secret of a token.

    Raises:
        NotFound: it is not a token.
    """
    secret, dot, key = token.partition(".")
    if not (secret and dot and key):
        raise NotFound(_UNKNOWN)
    return key, secret


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
