"""Datasets: loading, committing, reading at a revision, exporting, packing."""
