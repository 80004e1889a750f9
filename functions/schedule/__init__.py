"""Starts due jobs and recovers orphaned work: once a minute, and after a failed execution."""

from jobyard import cold_start

cold_start.begin()
