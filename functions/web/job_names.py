"""What the pages call a job of a batch."""

from collections.abc import Mapping
from typing import Any

from jobyard.domain.redaction import text_without_secrets


def name_in_row(row: Mapping[str, Any]) -> str:
    """The file or object in a row of a manifest; "" if it has no name."""
    return text_without_secrets(str(row.get("name") or row.get("local_id") or row.get("url") or ""))
