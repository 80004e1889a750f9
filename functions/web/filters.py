"""Filters of templates, which pictures use too: names, times, sizes and durations as text."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

_PART_END = re.compile(r"((?<=\w)/|\?|&amp;)(?=\w)")
_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def words(name: str) -> str:
    """A state, event or code in words: `force_fail` is "force fail"."""
    return name.replace("_", " ").replace("-", " ")


def sentence(message: str) -> str:
    """A message as a sentence: it begins with a capital and ends with a full stop."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def json_text(parameters: Mapping[str, Any]) -> str:
    """Parameters as JSON of several lines; "" for none."""
    return json.dumps(dict(parameters), indent=2, ensure_ascii=False) if parameters else ""


def breakable(text: str) -> Markup:
    """A text in which a line may end after each part of an address or path."""
    return Markup(_PART_END.sub(r"\1<wbr>", str(escape(text))))


def iso(at: datetime) -> str:
    """A time as a <time> element's datetime has it: UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local(at: datetime, zone: Any) -> str:
    """A time in the reader's zone, with the zone's name: "2026-11-30 09:05:12 CET"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def size(number: float) -> str:
    """A number of bytes: "1.4 MB"."""
    for unit in _SIZE_UNITS[:-1]:
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {_SIZE_UNITS[-1]}"


def mebibytes(number: int) -> str:
    """A limit of bytes that is a whole number of MiB: "512 MiB"."""
    return f"{number // 1024**2:,} MiB"


def duration(length: timedelta | float) -> str:
    """A length of time, at most two units: "3 min 20 s", "2 d 4 h". Numbers are seconds."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    parts: list[str] = []
    left = int(seconds)
    for unit, of in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, left = divmod(left, of)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def ago(length: timedelta) -> str:
    """How long ago something was: "3 min 20 s ago", "just now" below a second."""
    return "just now" if length < timedelta(seconds=1) else f"{duration(length)} ago"


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text, with an ellipsis where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
