"""Alarms through the API: the active ones first, each with what to do."""

from collections.abc import Iterator

import pytest

from tests.functions.api.api_client import Api
from tests.functions.web.alarms import delete_alarms, put_alarm


@pytest.fixture
def _alarms(api: Api) -> Iterator[None]:
    delete_alarms()
    put_alarm("batch-Monitoring-1-OldestBatchAlarm-1", "ALARM")
    put_alarm("batch-Monitoring-1-DeadLettersAlarm-1", "OK")
    put_alarm("other-Monitoring-1-FailedJobsAlarm-1", "ALARM")
    yield
    delete_alarms()


@pytest.mark.usefixtures("_alarms")
def test_alarms_of_the_deployment_say_what_to_do(api: Api) -> None:
    first, second = api.get("/alarms", role="operator").json["items"]

    assert (first["name"], first["state"], first["is_active"]) == (
        "OldestBatchAlarm",
        "ALARM",
        True,
    )
    assert first["means"] == "A batch has been open for too long"
    assert "jobyard batches" in first["advice"]
    assert first["chapter"] == "A batch that is stuck"
    assert (second["name"], second["is_active"]) == ("DeadLettersAlarm", False)


@pytest.mark.parametrize("role", ["viewer", "depositor"])
def test_only_those_who_can_act_see_alarms(api: Api, role: str) -> None:
    assert api.get("/alarms", role=role).status == 403
