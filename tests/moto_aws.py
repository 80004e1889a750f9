"""AWS on moto, which works out once what it else works out again at each call."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from moto import backend_index, mock_aws
from moto.core.base_backend import BaseBackend

USED = {"cloudwatch", "cognito-idp", "dynamodb", "s3", "sqs", "stepfunctions"}


@contextmanager
def moto_aws() -> Iterator[None]:
    """Calls of botocore go to moto for the block.

    A call's URL is tried with the patterns of two hundred services, then with all routes of the
    service that it finds. The services that are used here come first, and routes are made once.
    """
    patterns = sorted(backend_index.backend_url_patterns, key=lambda each: each[0] not in USED)
    routes = property(cache(BaseBackend.urls.fget))  # type: ignore[attr-defined]
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend_index, "backend_url_patterns", patterns)
        patch.setattr(BaseBackend, "urls", routes)
        yield
