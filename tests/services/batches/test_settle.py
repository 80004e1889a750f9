"""What comes after a pass over a batch's chunks."""

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
