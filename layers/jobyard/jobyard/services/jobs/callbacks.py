"""Callbacks: tokens for calls, and the answers that come with them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.callback import CallbackAnswer, split_token, token_of
from jobyard.store import callbacks

_TRIES = 5


@dataclass(frozen=True)
class CallbackTokens:
    """Issues tokens, and finds answers. `new_secret` returns a random text that nobody can guess,
    without a dot.
    """

    new_secret: Callable[[], str]

    def issue(self, key: str, until: datetime) -> str:
        """A new token to answer the call with `key`, valid until then. The seven before it stay
        valid too.

        Raises:
            StaleState: others changed the callback at the same time, several times.
        """
        secret = self.new_secret()
        for _ in range(_TRIES):
            seen = callbacks.get(key)
            if callbacks.put(seen, seen.issued(secret, until)):
                return token_of(key, secret)
        raise StaleState(f"the callback of {key} changes too fast")

    def find(self, key: str) -> CallbackAnswer | None:
        """The answer to the call with `key`, by a strong read; None if there is none yet."""
        return callbacks.get(key).answer


def _no_secret() -> str:
    raise NotImplementedError("this worker issues no tokens")


NO_CALLBACKS = CallbackTokens(_no_secret)


def answer_call(token: str, answer: CallbackAnswer, now: datetime) -> None:
    """Record the answer to the call that the token was issued for. A repeat changes nothing.

    Raises:
        NotFound, Gone: the token is not valid, or has expired.
        StaleState: the call was answered before.
    """
    key, secret = split_token(token)
    for _ in range(_TRIES):
        seen = callbacks.get(key)
        after = seen.answered(secret, answer, now)
        if after is seen or callbacks.put(seen, after):
            return
    raise StaleState("the callback changes too fast; try again")
