"""The store's tests use an emulator over HTTP, with clients as strict as AWS."""

from collections.abc import Iterator
from typing import Any

import pytest

from jobyard.store import tables
from jobyard.store.key_values import get_or_create_secret
from tests.call_interceptor import CallInterceptor
from tests.faults.aws_semantics import DynamoDBSemantics, key_names
from tests.tables import binding, borrowed, create_tables, rebind


@pytest.fixture(scope="session")
def deployment(emulator: str, credentials: None) -> tuple[dict[str, Any], CallInterceptor]:
    """The store's binding here, and the interceptor of its client."""
    theirs = binding()
    create_tables(emulator)
    get_or_create_secret("warm", "the store's client exists from here on")
    interceptor = CallInterceptor()
    interceptor.listeners = [DynamoDBSemantics(key_names())]
    interceptor.attach(tables.client())
    mine = binding()
    rebind(theirs)
    return mine, interceptor


@pytest.fixture
def store_endpoint(
    deployment: tuple[dict[str, Any], CallInterceptor], emulator: str
) -> Iterator[str]:
    """The emulator's address; the store is bound to tables there."""
    with borrowed(deployment[0]):
        yield emulator


@pytest.fixture
def interceptor(
    store_endpoint: str, deployment: tuple[dict[str, Any], CallInterceptor]
) -> CallInterceptor:
    """The interceptor of the store's client."""
    return deployment[1]


@pytest.fixture(autouse=True)
def strict(aws_semantics: CallInterceptor) -> CallInterceptor:
    """The store's client is as strict as AWS in every test."""
    return aws_semantics
