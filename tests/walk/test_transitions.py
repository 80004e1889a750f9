"""The transitions that are billed are those the machines make."""

from typing import Any

from jobyard.services.steering import Next
from tests.walk.yard import Payloads, Yard, single_files


def test_billed_transitions_are_the_states_the_machines_enter(
    yard: Yard, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {f"{each}.txt": b"x" for each in "abcde"})
    payloads.status["/c.txt"] = 503  # tried again, so that there is a second pass
    followed: list[Next] = []
    answered = Next.document

    def document(self: Next) -> dict[str, Any]:
        followed.append(self)
        return answered(self)

    Next.document = document  # type: ignore[method-assign]
    try:
        batch_id = yard.drop(manifest)
    finally:
        Next.document = answered  # type: ignore[method-assign]

    entered = yard.machines.visited
    children = entered.count("ExecuteChunk")
    reports = entered.count("Report")
    assert yard.batch(batch_id).batch.state == "failed"
    assert entered.count("Wait") > 1
    assert sum(each.transitions for each in followed) + 2 * reports + children == len(entered)
