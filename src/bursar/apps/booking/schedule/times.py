"""Local wall time and what it is in UTC, and how a time is told: one renderer for the API, pages, letters and calendars. Pure.

What recurs is kept as wall time and zone; the instant follows from them and the zone database that is there now.
"""

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from bursar.kernel.zones import zone_named

_SYSTEM_VERSION: Final = "tzdata.zi"
_FIRST_LINE: Final = "# version "


@dataclass(frozen=True, slots=True)
class Placed:
    """When a wall time is. is_shifted: the clock jumps over it, so that it is later by as much as the clock jumps."""

    at: datetime
    is_shifted: bool


def placed(day: date, start: time, zone: ZoneInfo) -> Placed:
    """Return the instant of a wall time, in UTC.

    Where the clock jumps over it, it is shifted forward by the jump (02:30 becomes 03:30); where it comes twice, it is the
    first time. Never add a duration to an aware time instead: Python does that by the clock on the wall.
    """
    wished = datetime.combine(day, start)
    at = wished.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return Placed(at, at.astimezone(zone).replace(tzinfo=None, fold=0) != wished)


def local(at: datetime, zone: str) -> str:
    """Return an instant as local text with offset and zone, as RFC 9557 writes it: `2026-03-08T09:00-04:00[America/New_York]`."""
    there = at.astimezone(zone_named(zone))
    is_round = not (there.second or there.microsecond)
    return f"{there.isoformat(timespec='minutes' if is_round else 'seconds')}[{zone}]"


def told(at: datetime, zone: str) -> str:
    """Return an instant as people read it, with its zone: `Sun 8 March 2026, 09:00 EDT (America/New_York)`."""
    there = at.astimezone(zone_named(zone))
    return f"{there:%a} {there.day} {there:%B %Y, %H:%M} {letters(at, zone)} ({zone})"


def clock(at: datetime, zone: str) -> str:
    """Return the time of day of an instant in a zone: `09:00`. The zone must stand beside it."""
    return f"{at.astimezone(zone_named(zone)):%H:%M}"


def letters(at: datetime, zone: str) -> str:
    """Return the letters of a zone at an instant: `EDT`, or `UTC-04:00` where it has none of its own."""
    there = at.astimezone(zone_named(zone))
    name = there.tzname() or ""
    if name.isalpha():
        return name
    offset = f"{there:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def zone_version() -> str:
    """Return which zone database this process reads: the system's, where there is one, else the one that comes with it."""
    for place in zoneinfo.TZPATH:
        told_by = Path(place) / _SYSTEM_VERSION
        if told_by.is_file():
            with told_by.open(encoding="ascii", errors="replace") as lines:
                return f"system {lines.readline().removeprefix(_FIRST_LINE).strip()[:40]}"
    return f"tzdata {version('tzdata')}"
