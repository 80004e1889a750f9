"""The output of a benchmark: lines as it runs, one JSON object at the end."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

Figures = Mapping[str, Any]


def say(line: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(name: str, measure: Callable[[], Figures]) -> None:
    """Run a benchmark and print its figures: as the last line with `--json`, else as a table."""
    described = (measure.__doc__ or name).split("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=described)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)  # raises SystemExit, so that started processes are stopped
    figures = measure()
    if arguments.json:
        say(json.dumps(figures))
        return
    for figure, value in figures.items():
        say(f"{name}.{figure} = {value}")


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def rounded(values: list[float], digits: int = 3) -> float:
    """The median of `values`, rounded."""
    return round(median(values), digits)
