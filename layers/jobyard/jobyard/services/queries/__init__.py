"""Reads. A row without a record is a job that is scheduled: views lay the records over the rows."""
