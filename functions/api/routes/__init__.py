"""The routes, a module a noun: who asks is found out, a service is called, its answer shaped."""
