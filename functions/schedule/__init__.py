"""A minute passed, or an execution failed: start due jobs, recover orphaned work."""

import gc

# Until all is imported and the clients are made: nothing of it is garbage, and looking for some
# takes a sixth of a cold start.
gc.disable()
