"""Who used the processors while something was measured, read from /proc."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of processor time: of the named groups of processes, and of the whole machine."""

    at: float
    groups: Mapping[str, float]
    machine: float


def read(groups: Mapping[str, Sequence[int]]) -> Reading:
    """Read the clocks. groups: name to the processes whose whole trees count."""
    parents = _parents()
    seconds = {name: sum(_seconds(pid, parents) for pid in pids) for name, pids in groups.items()}
    return Reading(time.monotonic(), seconds, _machine())


def shares(before: Reading, after: Reading) -> dict[str, float]:
    """Return cores used by each group between two readings, and by everything else as `foreign`."""
    passed = after.at - before.at
    used = {name: (after.groups[name] - before.groups[name]) / passed for name in before.groups}
    foreign = (after.machine - before.machine) / passed - sum(used.values())
    return {name: round(value, 2) for name, value in (used | {"foreign": max(0.0, foreign)}).items()}


def _seconds(pid: int, parents: Mapping[int, int]) -> float:
    """Return the time of a process, of its children that have ended, and of those that live."""
    own = sum(_times(pid))
    return own + sum(_seconds(child, parents) for child, parent in parents.items() if parent == pid)


def _times(pid: int) -> list[float]:
    fields = _stat(pid)
    return [int(value) / _TICKS for value in fields[11:15]] if fields else [0.0]


def _parents() -> dict[int, int]:
    found = {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - names
    return {pid: int(fields[1]) for pid, fields in found.items() if fields}


def _stat(pid: int) -> list[str]:
    """Return the fields after the command's name: state, parent, …, utime, stime, cutime, cstime at 11 to 14."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _machine() -> float:
    user, nice, system, _, _, irq, softirq, *_ = (
        int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS
