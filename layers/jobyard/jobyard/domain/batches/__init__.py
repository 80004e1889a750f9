"""Batches: their lifecycle, chunks, operations, reports and the text of reports."""
