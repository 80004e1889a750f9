"""Runs jobs: deposits of manifests and scheduled sweeps, on AWS and on a laptop."""

VERSION = "0.1.0"  # the one in pyproject.toml, which no function can read
