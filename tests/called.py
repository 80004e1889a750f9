"""What tests of calls share: a submitted batch, and the way of a callback."""

from collections.abc import Callable, Mapping
from typing import Any

from jobyard.domain.jobs.callback import CallbackAnswer
from jobyard.services.batches.submissions import Submission, submit
from jobyard.services.context import Actor
from jobyard.services.jobs.callbacks import answer_call
from tests.harness import ADMIN, Harness


def submitted(
    harness: Harness,
    job_type: str,
    parameters: Mapping[str, Any],
    manifest: str,
    person: Actor = ADMIN,
) -> str:
    """Submit a batch, upload its manifest and run the machines. Returns the batch's id."""
    batch_id, run = start(harness, job_type, parameters, manifest, person)
    run()
    return batch_id


def start(
    harness: Harness,
    job_type: str,
    parameters: Mapping[str, Any],
    manifest: str,
    person: Actor = ADMIN,
) -> tuple[str, Callable[[], None]]:
    """Submit a batch and upload its manifest. Returns the batch's id, and what runs it."""
    wanted = Submission("maps", "pages.csv", job_type, "", None, parameters, "")
    batch, _ = submit(wanted, harness.context(person))
    event = harness.upload(manifest, name=f"{batch.batch_id}/pages.csv", collection="maps")

    def run() -> None:
        harness.machines.run("batch", f"event-{batch.batch_id}", event)
        harness.machines.run_all()

    return batch.batch_id, run


def answering(harness: Harness) -> Callable[[str, Mapping[str, Any]], None]:
    """Sends callbacks to the harness, as the API does."""

    def send(url: str, document: Mapping[str, Any]) -> None:
        assert url == f"{harness.settings.url}/api/callbacks"
        result, message = document.get("result", {}), document.get("message", "")
        answer = CallbackAnswer.of(document["status"], result, message)
        answer_call(document["token"], answer, harness.now())

    return send
