"""The example in examples/containers, in process: packed, deposited and read back."""

from pathlib import Path

from examples.containers.deposit import OBJECTS, manifest, pack, read_back
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.services.queries.jobs import list_jobs
from tests.harness import Harness


def objects() -> dict[str, dict[str, bytes]]:
    """The files of each object of the example, by name."""
    return {
        folder.name: {file.name: file.read_bytes() for file in folder.iterdir()}
        for folder in OBJECTS.iterdir()
    }


def test_the_manifest_passes_the_check(tmp_path: Path) -> None:
    text = manifest(pack(tmp_path), "https://files.example.org")

    reading = ManifestReader([text], filename="containers.csv")
    findings = [each for _, some in reading for each in some if each.level != "info"]

    assert (reading.worst_level, findings) == ("pass", [])
    assert reading.profile == "mrt-container-batch-manifest"


def test_what_is_read_back_is_what_was_packed(harness: Harness, tmp_path: Path) -> None:
    containers = pack(tmp_path)
    for path in containers:
        harness.payloads.files[f"/{path.name}"] = path.read_bytes()
    text = manifest(containers, harness.payloads.url).decode()

    batch_id = harness.drop(text, name="containers.csv")

    found = list_jobs(batch_id, harness.query_context(), state="", after=(0, 0), limit=9).items
    archived = {
        each.row["name"].partition(".")[0]: read_back(harness.s3, "archive", each.job.data)
        for each in found
    }
    assert archived == objects()
