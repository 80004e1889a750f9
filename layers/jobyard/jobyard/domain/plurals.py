"""Counts and lists in words."""

from collections.abc import Sequence


def plural(number: int, noun: str) -> str:
    """`3 jobs`, `1 job`, `2 batches`, `1,000 entries`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("ch"):
        return f"{number:,} {noun}es"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}s"


def alternatives(names: Sequence[str]) -> str:
    """`held`, `held or paused`, `held, paused or failed`. There is at least one name."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
