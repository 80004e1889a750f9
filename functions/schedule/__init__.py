"""A minute passed, or an execution failed: start what is due, take up what nobody works on."""
