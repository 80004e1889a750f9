"""A manifest landed, or a person set an execution going: open the batch."""
