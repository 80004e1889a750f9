"""Schedules: the tick that starts due jobs, the jobs, and the commands of people."""
