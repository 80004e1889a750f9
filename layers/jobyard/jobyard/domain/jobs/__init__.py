"""Jobs: their lifecycle, records, attempts, types and failure codes."""
