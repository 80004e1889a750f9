"""Garbage collection waits until a function is initialised, and is rarer from then on.

What is imported and created until then stays, and searching it for garbage takes a sixth of a cold
start. Workers then create many objects and few cycles of them.
"""

import gc

_NEW_OBJECTS = 20_000  # between two searches; with Python's 700 a report took 11 % more CPU time


def begin() -> None:
    """Switch garbage collection off, before anything else is imported."""
    gc.disable()


def end() -> None:
    """Switch garbage collection on; it never visits what exists by now."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()
