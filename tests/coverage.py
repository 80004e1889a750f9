"""The coverage that the tests reached, room by room, from what slipcover wrote.

`python -m tests.coverage FILE` prints it, and exits with 1 if a room is below `LOWEST`.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOMS = ("domain", "services")
LOWEST = 95.0  # percent of lines and branches; source: style.md, Guards


def percent(room: str, files: Mapping[str, Mapping[str, Any]]) -> float:
    """The covered part of a room's lines and branches, in percent.

    Raises:
        ZeroDivisionError: `files` has none of the room.
    """
    counts: Counter[str] = Counter()
    for path, file in files.items():
        if f"/jobyard/{room}/" in path:
            counts.update(file["summary"])
    covered = counts["covered_lines"] + counts["covered_branches"]
    return 100 * covered / (covered + counts["missing_lines"] + counts["missing_branches"])


def main(path: Path) -> int:
    """Print the coverage of each room. Returns 1 if one of them has too little."""
    files = json.loads(path.read_text())["files"]
    found = {room: percent(room, files) for room in ROOMS}
    for room, reached in found.items():
        print(f"{room:<8} {reached:5.1f} %, {LOWEST:.0f} % are required")  # noqa: T201
    return int(any(reached < LOWEST for reached in found.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
