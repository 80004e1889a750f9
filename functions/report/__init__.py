"""Something ended: settle the batch, report it, see that the report arrives."""
