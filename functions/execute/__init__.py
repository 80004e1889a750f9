"""Runs jobs: those of a chunk, or a single one."""

from jobyard import cold_start

cold_start.begin()
