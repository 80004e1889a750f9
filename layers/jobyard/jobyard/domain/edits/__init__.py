"""Edit jobs: what people change in a dataset, and how their changes are merged."""
