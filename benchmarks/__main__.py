"""Runs the named benchmarks, or all, and prints their figures next to the bounds.

Exits with 1 if a benchmark fails. A missed bound is printed, but is no failure: a person decides.
"""

import argparse
import json
import subprocess
import sys

from benchmarks.bounds import NAMES, compare
from benchmarks.output import say
from cli.local.emulator import ROOT


def main() -> int:
    """Run the benchmarks. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    requested = parser.parse_args().names
    if unknown := [name for name in requested if name not in NAMES]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(NAMES)}")
    rows: list[tuple[str, float, str, str]] = []
    failed: list[str] = []
    for name in requested or NAMES:
        say(f"== {name}")
        lines = _run(name)
        if lines is None:
            failed.append(name)
            continue
        rows += compare(name, json.loads(lines[-1]))
    say()
    say(f"{'figure':<28} {'measured':>10} {'bound':>9}")
    for figure, value, bound, distance in rows:
        say(f"{figure:<28} {value:>10,.3f} {bound:>9}  {distance}")
    for name in failed:
        say(f"{name} FAILED")
    return 1 if failed else 0


def _run(name: str) -> list[str] | None:
    """The output lines of a benchmark, which are printed as they come; None if it failed."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            say(f"   {lines[-1]}")
    return lines if process.returncode == 0 and lines else None


if __name__ == "__main__":
    sys.exit(main())
