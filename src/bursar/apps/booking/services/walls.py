"""Wall time as instants: which moments a clock on the wall shows between two of its times, on a date. Pure.

On most days that is one stretch. Where the clock is set back some wall times come twice, and each is a stretch of its own;
where it jumps ahead some never come. So nothing is added to a local time: each stretch has one offset, and is exact in it.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_REACH = timedelta(hours=30)
"""No zone is further from UTC than this, so that everything a date can be lies within it."""


class Stretch(NamedTuple):
    """Half-open, in UTC. offset: what the wall's clock shows less UTC, all through it."""

    start: datetime
    end: datetime
    offset: timedelta


def stretches(zone: ZoneInfo, day: date, from_minute: int, to_minute: int) -> list[Stretch]:
    """Return when the wall shows times of a date from `from_minute` until before `to_minute`, in order.

    The minutes are those of the wall since midnight, 0 to 1440.
    """
    midnight = datetime.combine(day, time(), UTC)
    first, last = midnight + timedelta(minutes=from_minute), midnight + timedelta(minutes=to_minute)
    found = []
    for begin, end, offset in _offsets(zone, day):
        start, stop = max(first - offset, begin), min(last - offset, end)
        if start < stop:
            found.append(Stretch(start, stop, offset))
    return found


def instant_of(zone: ZoneInfo, local: datetime) -> datetime:
    """Return the instant of a wall time: the first where it comes twice, as much later as the clock jumped where it never comes."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def merged(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return the same moments as few spans that do not touch, in order."""
    out: list[tuple[datetime, datetime]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def without(
    spans: list[tuple[datetime, datetime]], gone: list[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """Return the moments of `spans` that are not in `gone`; both as `merged` returns them."""
    out = []
    for start, end in spans:
        for gone_start, gone_end in gone:
            if gone_end <= start:
                continue
            if gone_start >= end:
                break
            if gone_start > start:
                out.append((start, gone_start))
            start = gone_end  # noqa: PLW2901
        if start < end:
            out.append((start, end))
    return out


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """Return the offsets of a zone about a date, each with the time it holds. No zone changes twice within three days."""
    midnight = datetime.combine(day, time(), UTC)
    begin, end = midnight - _REACH, midnight + timedelta(days=1) + _REACH
    before, after = _offset(zone, begin), _offset(zone, end)
    if before == after:
        return ((begin, end, before),)
    low, high = begin, end
    while high - low > timedelta(minutes=1):
        middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return ((begin, high, before), (high, end, after))


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None, "a zone has an offset at every instant"
    return offset
