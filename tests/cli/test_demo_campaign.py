"""The parts of the demo of campaigns that need no stack. `tests/live` plays the demo."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cli import demo_campaign
from cli.demo_campaign import LATE, STUCK, SimulatedDevices
from cli.local import emulator
from cli.local.emulator import EmulatorError
from jobyard.domain.campaigns.campaign import request_of
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.jobtypes import TYPES

NEW_YEAR = datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC)


@pytest.fixture
def devices() -> Iterator[SimulatedDevices]:
    with demo_campaign.simulated_devices(emulator.free_port()) as devices:
        yield devices


@pytest.mark.parametrize("opens_at", [NEW_YEAR, NEW_YEAR - timedelta(hours=12)])
def test_the_window_opens_when_the_demo_says_so(
    devices: SimulatedDevices, opens_at: datetime
) -> None:
    document = devices.campaign(opens_at)
    created_at = opens_at - timedelta(seconds=6)

    request = request_of(document, created_at, calendar_of)

    TYPES[request.job_type].check_parameters(request.parameters)
    first = request.rules.schedule.openings(created_at).next_opening(created_at)
    assert first is not None
    assert (first.start, first.end - first.start) == (opens_at, timedelta(minutes=30))


def test_two_devices_do_not_work_until_somebody_repairs_them(devices: SimulatedDevices) -> None:
    kinds = [devices.simulator.device(each).kind for each in (STUCK, LATE)]

    devices.connect()
    devices.repair()

    assert kinds == ["locked", "offline"]
    assert {devices.simulator.device(each).kind for each in (STUCK, LATE)} == {"ok"}


def test_a_used_port_is_refused_with_a_message() -> None:
    with socket.create_server((emulator.HOST, 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(EmulatorError, match=f"port {port}, .* --files-port"),
            demo_campaign.simulated_devices(port),
        ):
            pass
