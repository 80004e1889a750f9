"""Calls of AWS whose result a page can do without."""

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from web.request import PageRequest

_T = TypeVar("_T")


def result_or_none(call: Callable[[], _T], request: PageRequest) -> _T | None:
    """The result of a call; None if AWS refuses it or does not answer. The error is logged."""
    try:
        return call()
    except (BotoCoreError, ClientError) as error:
        request.site.log_unavailable(error)
        return None
