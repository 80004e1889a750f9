"""Jobs are to be run: those of a chunk, or one by itself."""
