"""Batches: submit, open, run, change, settle and resume them."""
