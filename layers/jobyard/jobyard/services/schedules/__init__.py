"""Schedules: the tick that starts due jobs, and what people do to schedules."""
