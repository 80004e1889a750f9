"""A manifest landed, or a person set an execution going: open the batch."""

import gc

# Until all is imported and the clients are made: nothing of it is garbage, and looking for some
# takes a sixth of a cold start.
gc.disable()
