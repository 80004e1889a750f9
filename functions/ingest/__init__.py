"""Opens a batch: a manifest has arrived, or an execution continues an existing batch."""

from jobyard import cold_start

cold_start.begin()
