"""Schedules: their lifecycle, recurrence rules, calendars and occurrences."""
