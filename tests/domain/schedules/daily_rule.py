"""A daily rule, and rules made from it."""

from datetime import UTC, datetime
from typing import Any

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
MAPS = {"kind": "daily", "at": "09:00", "anchor": "2026-11-25"}


def rule(**fields: Any) -> dict[str, Any]:
    """The daily rule with other fields."""
    return MAPS | fields
