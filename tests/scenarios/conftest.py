"""The set-up of campaigns: a stack at ten o'clock, and devices that do what a test says."""

from collections.abc import Iterator

import pytest

from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN
from tests.scripted_devices import Devices, scripted_devices


@pytest.fixture
def devices() -> Iterator[Devices]:
    with scripted_devices() as found:
        yield found


@pytest.fixture
def stack(harness: Harness) -> Harness:
    harness.at = TEN
    return harness
