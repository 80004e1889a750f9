"""The coverage that the tests reached, room by room, from what `tests/coverage_plugin.py` noted.

`python -m tests.coverage FILE` prints it, and exits with 1 if a room is below `LOWEST`.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipcover import Slipcover

FILE = ".coverage.json"
ROOMS = ("domain", "services")
SOURCES = [f"layers/jobyard/jobyard/{room}" for room in ROOMS]  # where the rules are
EXCLUDED = ["if TYPE_CHECKING:", r"\.\.\.$"]
LOWEST = 95.0  # percent of lines and branches; source: style.md, Guards

# By path: the lines of a file, the reached ones, the reached branches.
Noted = Mapping[str, tuple[list[int], list[int], list[list[int]]]]
Sources = Mapping[str, Mapping[str, Any]]


def sources() -> Sources:
    """The lines and branches of all files of the rooms, as slipcover reports them."""
    unreached = Slipcover(branch=True, source=SOURCES, exclude_also=EXCLUDED).get_coverage()
    files: Sources = unreached["files"]
    return files


def percent(room: str, files: Sources, noted: Noted) -> float:
    """The reached part of a room's lines and branches, in percent. All of a file counts that no
    test imports; of the others not the lines that have no code but annotations.

    Raises:
        ZeroDivisionError: `files` has none of the room.
    """
    counts: Counter[bool] = Counter()
    for path, file in files.items():
        if f"/jobyard/{room}/" in path:
            all_lines, all_branches = file["missing_lines"], file["missing_branches"]
            known, lines, branches = noted.get(path, (all_lines, [], []))
            reached = {*lines, *map(tuple, branches)}
            wanted = ({*all_lines} & {*known}) | {*map(tuple, all_branches)}
            counts[True] += len(wanted & reached)
            counts[False] += len(wanted - reached)
    return 100 * counts[True] / counts.total()


def report(files: Sources, noted: Noted) -> int:
    """Print the coverage of each room. Returns 1 if one of them has too little."""
    found = {room: percent(room, files, noted) for room in ROOMS}
    for room, percentage in found.items():
        print(f"{room:<8} {percentage:5.1f} %, {LOWEST:.0f} % are required")  # noqa: T201
    return int(any(percentage < LOWEST for percentage in found.values()))


if __name__ == "__main__":
    sys.exit(report(sources(), json.loads(Path(sys.argv[1]).read_text())))
