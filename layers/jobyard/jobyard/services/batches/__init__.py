"""Batches: open, run, settle and resume them; what people submit and do to them."""
