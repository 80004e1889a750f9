"""A count with its noun in the singular or plural."""


def plural(number: int, noun: str) -> str:
    """`3 jobs`, `1 job`, `2 batches`, `1,000 entries`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("ch"):
        return f"{number:,} {noun}es"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}s"
