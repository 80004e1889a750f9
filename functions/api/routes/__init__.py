"""The routes, a module per noun. A handler parses, calls one service and returns a schema."""
