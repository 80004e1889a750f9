"""The store's tests meet DynamoDB as unkind as it is."""

import pytest

from tests.wire import Wire


@pytest.fixture(autouse=True)
def wire_of_the_store(unkind: Wire) -> Wire:
    """What listens to the store's client."""
    return unkind
