"""How large a manifest may be."""

from jobyard.domain.chunks import MOST_CHUNKS
from tests.walk.yard import Clients, Payloads, Yard, single_files
from tests.wire import Wire


def test_a_manifest_of_more_chunks_than_a_map_can_run_is_refused(
    bound: str, unkind: Wire, services: Clients, payloads: Payloads
) -> None:
    yard = Yard(bound, services, payloads, chunk_size=1)
    manifest = single_files(payloads, {f"{n}.txt": b"" for n in range(MOST_CHUNKS + 1)})

    found = yard.batch(yard.drop(manifest)).batch

    assert found.state == "failed"
    assert found.entries == 0
    assert found.message == (
        f"the manifest has {MOST_CHUNKS + 1} lines; {MOST_CHUNKS} are allowed: divide it"
    )
