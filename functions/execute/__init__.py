"""Jobs are to be run: those of a chunk, or one by itself."""

import gc

# Until all is imported and the clients are made: nothing of it is garbage, and looking for some
# takes a sixth of a cold start.
gc.disable()
