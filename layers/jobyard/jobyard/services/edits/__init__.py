"""Edit jobs: what people do with them, and what the machine does."""
