"""The examples of calls: whole batches and schedules, in process."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from cli.local.emulator import ROOT
from examples.calls import function
from examples.calls.service import Service
from jobyard.domain.jobs.job import JobRecord
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.schedules.commands import ScheduleSpec, create
from jobyard.store import jobs, occurrences
from tests.called import answering, submitted
from tests.harness import FUNCTION, Harness

EXAMPLE = ROOT / "examples" / "calls"
MANIFEST = (EXAMPLE / "pages.csv").read_text()


@pytest.fixture
def service(harness: Harness) -> Iterator[Service]:
    with Service() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        host = server.url.removeprefix("http://").partition("/")[0]
        hosts = harness.settings.allowed_hosts | {host}
        harness.settings = replace(harness.settings, allowed_hosts=hosts)
        harness.allow_hosts()
        yield server
        server.shutdown()
        thread.join()


def answers(batch_id: str) -> list[Any]:
    """What the jobs of a batch keep of the answers to their calls."""
    found: list[JobRecord] = [*jobs.of_chunk(batch_id, 0)]
    return [(each.state.value, each.data.get("answer")) for each in found]


def test_the_service_is_called_once_for_each_row_and_asked_for_the_end(
    harness: Harness, service: Service
) -> None:
    batch_id = submitted(harness, "http", {"url": service.url}, MANIFEST)

    assert harness.batch(batch_id).batch.state == "completed"
    assert answers(batch_id) == [("succeeded", {"words": 4}), ("succeeded", {"words": 1})]
    assert sorted(service.received) == [f"{batch_id}.0.{number}" for number in range(2)]
    assert set(service.looks.values()) == {2}


def test_the_schedule_of_the_example_calls_the_service(harness: Harness, service: Service) -> None:
    parameters = json.loads((EXAMPLE / "nightly.json").read_text())
    rule = recurrence_of({"kind": "daily", "at": "02:00", "zone": "UTC", "anchor": "2026-11-22"})
    spec = ScheduleSpec("Tidy up", "http", rule, Policy(), {**parameters, "url": service.url})
    schedule = create(spec, harness.context())
    assert schedule.next_at is not None

    harness.at = schedule.next_at
    harness.tick()
    harness.machines.run_all()

    ((key, document),) = service.accepted.items()
    assert document["task"] == "tidy"
    assert document["scheduled_for"] == "2026-11-23T02:00:00Z"
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    job = jobs.find(occurrence.address)
    assert job is not None
    assert (job.address.job_id, job.state, job.data["answer"]) == (key, "succeeded", {"words": 0})


@pytest.mark.parametrize("mode", ["wait", "callback"])
def test_the_function_answers_by_what_it_returns_or_by_a_callback(
    harness: Harness, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = answering(harness)

    def counted(url: str, document: Mapping[str, Any]) -> None:
        sent.append(document["token"])
        send(url, document)

    monkeypatch.setattr(function, "send", counted)
    harness.batch_functions[FUNCTION] = lambda event: function.handler(event, None)
    manifest = f"{MANIFEST}http://127.0.0.1:4915/scans/3.tif,3.tif,\n"

    batch_id = submitted(harness, "lambda", {"function": "recognise", "mode": mode}, manifest)

    assert answers(batch_id) == [("succeeded", {"words": 4}), ("succeeded", {"words": 1})]
    assert len(sent) == (3 if mode == "callback" else 0)
    (failed,) = jobs.of_chunk(batch_id, 1)
    assert failed.failure_message == "the function failed (the row has no title)"
