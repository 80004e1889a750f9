"""Queries: what lists and details show."""
