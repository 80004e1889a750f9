"""The web pages: what people see of Jobyard, and where they act."""
