"""CPU time and memory of processes, from /proc."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds (user and system) of a process with its threads; 0.0 if it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S if fields else 0.0


def cpu_of_ended_children_s(pid: int) -> float:
    """CPU seconds of the children of a process that have ended and were waited for."""
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) * _TICK_S if fields else 0.0


def cpu_of_children_s(pid: int) -> float:
    """CPU seconds of all descendants of `pid`, including those that have ended."""
    below = descendants(pid)
    ended = sum(cpu_of_ended_children_s(each) for each in (pid, *below))
    return ended + sum(map(cpu_s, below))


def descendants(pid: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(process.name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(process.name))
    found: list[int] = []
    to_visit = [pid]
    while to_visit:
        children = parents.get(to_visit.pop(), [])
        found += children
        to_visit += children
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the name in /proc/PID/stat: state, parent and so on; [] if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def peak_mb() -> float:
    """Peak memory of this process in MB (10^6 bytes), without its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
