"""What comes after a pass over a batch's chunks."""

from dataclasses import replace

from jobyard.domain.batches.batch import BatchState
from jobyard.services.jobs.commands import send_job_event
from tests.harness import Harness, Payloads, single_files


def test_a_batch_that_people_ended_is_not_passed_over_again(
    harness: Harness, payloads: Payloads
) -> None:
    """Its last job may be cancelled before the first worker starts; the main run finds it ended."""
    manifest = single_files(payloads, {"a.txt": b"a", "b.txt": b"b"})
    event = harness.upload(manifest, name="may.checkm", collection="maps")
    opened = harness.open({"input": event, "execution": "main"})
    batch_id = harness.batch_id_of(event)
    for position in (0, 1):
        send_job_event(f"{batch_id}.0.{position}", "cancel", harness.context())
    harness.machines.run_all()
    assert harness.batch(batch_id).batch.state in {BatchState.COMPLETED, BatchState.FAILED}

    harness.execute_chunk({**opened, "chunk": 0, "start": 0, "end": 10**6})
    settled = harness.settle({**opened, "next": "settle"})

    assert settled["next"] == "end"


def test_a_run_that_waited_500_times_for_workers_continues_in_another_execution(
    harness: Harness, payloads: Payloads
) -> None:
    harness.settings = replace(harness.settings, chunk_size=1, max_workers=1)
    opened = []
    for name in ("first", "second"):
        manifest = single_files(payloads, {f"{name}-{number}.txt": b"x" for number in range(2)})
        event = harness.upload(manifest, name=f"{name}.checkm", collection="maps")
        opened.append(harness.open({"input": event, "execution": name}))
    waiting = opened[1]

    again = harness.settle({**waiting, "waits": 499})
    continued = harness.settle({**waiting, "waits": 500})

    assert [each["next"] for each in opened] == ["execute", "settle"]  # no worker is free
    assert again["next"] == "settle_later"
    assert continued["next"] == "continue_as_new"
    assert continued["execution_name"] == f"{waiting['origin_id']}-settle-main-1"
