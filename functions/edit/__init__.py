"""Does the machine's part of edit jobs, and loads and exports datasets."""

from jobyard import cold_start

cold_start.begin()
