"""Runs the system's own jobs, which may delete records."""

from jobyard import cold_start

cold_start.begin()
