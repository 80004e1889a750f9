"""Something ended: settle the batch, report it, see that the report arrives."""

import gc

# Until all is imported and the clients are made: nothing of it is garbage, and looking for some
# takes a sixth of a cold start.
gc.disable()
