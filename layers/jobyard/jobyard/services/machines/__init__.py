"""The states of the machines that call a function: what each of them does, with its usage."""
