"""Stores what a person does to one task of a campaign."""

from dataclasses import replace

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.jobs.job import JobRecord
from jobyard.store import campaigns, chunks, jobs, transactions


def write(
    seen: Campaign,
    campaign: Campaign,
    chunk: ChunkRecord,
    change: tuple[JobRecord | None, JobRecord] | None = None,
) -> None:
    """Write the counts of a chunk and its campaign, with a change of a task, in one transaction.

    `seen` is the campaign that was read; `chunk` has the version that was read. A decision that is
    based on older counts cannot write the campaign any more.

    Raises:
        StaleState: something changed since it was read.
        ClientError: DynamoDB failed. The items may have been written.
    """
    items = [
        transactions.put(campaigns.item_of(campaign), seen.version),
        transactions.put(chunks.item_of(replace(chunk, version=chunk.version + 1)), chunk.version),
    ]
    if change is not None:
        before, after = change
        items.append(transactions.put(jobs.item_of(after), before.version if before else 0))
    transactions.write(items)
