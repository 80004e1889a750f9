"""Settles and reports what has ended, and records whether each report arrives."""

from jobyard import cold_start

cold_start.begin()
