"""The store's tests meet DynamoDB as unkind as it is."""

import pytest

from tests.call_interceptor import CallInterceptor


@pytest.fixture(autouse=True)
def interceptor_of_the_store(aws_semantics: CallInterceptor) -> CallInterceptor:
    """What listens to the store's client."""
    return aws_semantics
