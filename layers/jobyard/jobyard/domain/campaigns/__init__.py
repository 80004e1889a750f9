"""Campaigns: jobs with many tasks, on targets, inside windows."""
