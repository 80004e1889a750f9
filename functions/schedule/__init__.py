"""A minute passed, or an execution failed: start what is due, take up what nobody works on."""

import gc

# Until all is imported and the clients are made: nothing of it is garbage, and looking for some
# takes a sixth of a cold start.
gc.disable()
