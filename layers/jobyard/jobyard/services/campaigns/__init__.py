"""Campaigns: start and change them, run their tasks, settle them."""
