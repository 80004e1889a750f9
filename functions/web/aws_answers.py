"""Answers of AWS that a page can do without."""

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from web.request import PageRequest

_T = TypeVar("_T")


def answer_or_none(ask: Callable[[], _T], request: PageRequest) -> _T | None:
    """What a service of AWS answers; None if it does not, so that the page shows the rest."""
    try:
        return ask()
    except (BotoCoreError, ClientError) as error:
        request.site.log_unavailable(error)
        return None
