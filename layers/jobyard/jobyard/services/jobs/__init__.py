"""Jobs of any origin: run them, change them, and find what they come from."""
