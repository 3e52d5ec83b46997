"""Counts of one process: two windows for each limit, weighed, in memory that cannot grow without end.

The `limits` library's own memory looks through every key it has whenever one is counted (measured: decision 0202), so under a
flood of addresses it is what falls first. Counting itself is the library's: the past window's count, weighed by how much of it is
still within the last minute, and the present one's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor
from typing import Final
from zlib import crc32

from bursar.kernel.rate_limits.classes import WINDOW_S, Limit

APART_MAX: Final = 50_000
"""How many holders of one limit are told apart within a window. Those beyond share counters."""
SHARED_COUNTERS: Final = 4096
_EPSILON_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Count:
    """What came of counting one request. reset_s: seconds until there is more than `remaining` again."""

    limit: Limit
    is_admitted: bool
    remaining: int
    reset_s: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-11."""
        name = self.limit.name
        return [
            (b"ratelimit-policy", f'"{name}";q={self.limit.per_minute};w={WINDOW_S}'.encode()),
            (b"ratelimit", f'"{name}";r={self.remaining};t={self.reset_s}'.encode()),
        ]


@dataclass(slots=True)
class _Windows:
    """The counts of one limit by holder: of the window that was, and of the one that is."""

    number: int = 0
    before: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)

    def turn(self, number: int) -> None:
        self.before = self.now if number == self.number + 1 else {}
        self.now = {}
        self.number = number

    def name_of(self, holder: str) -> str:
        if holder in self.now or len(self.now) < APART_MAX:
            return holder
        return f"?{crc32(holder.encode()) % SHARED_COUNTERS}"


class Memory:
    """Counts of one process. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[str, _Windows] = {}

    def hit(self, limit: Limit, holder: str, *, cost: int = 1) -> Count:
        """Count a request if it is admitted. cost: 0 only looks whether it would be."""
        windows = self._windows.get(limit.name)
        if windows is None:
            windows = self._windows[limit.name] = _Windows()
        passed = self._clock() / WINDOW_S
        number = floor(passed)
        if number != windows.number:
            windows.turn(number)
        left = 1 - (passed - number)
        name = windows.name_of(holder)
        before, now = windows.before.get(name, 0), windows.now.get(name, 0)
        used = floor(before * left) + now
        if used >= limit.per_minute:
            return Count(limit, False, 0, _reset_s(left, before))
        if cost:
            windows.now[name] = now + cost
        return Count(limit, True, limit.per_minute - used - cost, _reset_s(left, before))

    @property
    def holders(self) -> int:
        """How many counters there are."""
        return sum(len(windows.before) + len(windows.now) for windows in self._windows.values())


def _reset_s(left: float, before: int) -> int:
    """Return when the next request is let go: one of the past window, or else the end of this one."""
    until = left * WINDOW_S
    if before:
        until = min(until, until % (WINDOW_S / before))
    return floor(until + _EPSILON_S) + 1
