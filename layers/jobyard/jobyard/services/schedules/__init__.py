"""Starting what is due, and what people do to schedules."""
