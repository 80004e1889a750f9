"""Queries. They lay records over rows: a row without a record is a scheduled job."""
