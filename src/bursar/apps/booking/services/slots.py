"""Slots: when a staff member can give a service. Pure: from hours, time off and what is taken, to starting times.

Everything is a half-open interval of instants. A slot is within working hours from its start to its end and in no time off; the
buffers around it may reach beyond the hours, but no more than it into what is taken, whose own buffers count as well.
Source: Cal.com, "Event buffers": a buffer keeps events apart, and is not applied to the start or end of the working day.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.apps.booking.services.walls import Stretch, instant_of, merged, stretches, without

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Hours:
    """Working hours of a wall clock. weekday: 1 is Monday; None: on the date `valid_from` alone. valid_until: the last day.

    from_minute, to_minute: of the wall, since midnight.
    """

    staff_id: UUID
    venue_id: UUID
    zone: ZoneInfo
    weekday: int | None
    from_minute: int
    to_minute: int
    valid_from: date
    valid_until: date | None

    def apply_to(self, day: date) -> bool:
        if self.weekday is None:
            return day == self.valid_from
        is_valid = self.valid_from <= day and (self.valid_until is None or day <= self.valid_until)
        return is_valid and day.isoweekday() == self.weekday


@dataclass(frozen=True, slots=True)
class TimeOff:
    """When somebody does not work, in local time. staff_id None: nobody does. venue_id None: nowhere."""

    staff_id: UUID | None
    venue_id: UUID | None
    zone: ZoneInfo
    local_from: datetime
    local_until: datetime

    @property
    def span(self) -> Span:
        return instant_of(self.zone, self.local_from), instant_of(self.zone, self.local_until)

    def concerns(self, staff_id: UUID, venue_id: UUID) -> bool:
        return self.staff_id in (None, staff_id) and self.venue_id in (None, venue_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """When a staff member is taken, buffers included."""

    staff_id: UUID
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Work:
    """What a slot is for. grid: minutes of the wall at which slots begin."""

    duration: timedelta
    before: timedelta
    after: timedelta
    grid: int


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    starts_at: datetime
    venue_id: UUID
    staff_id: UUID


def slots(
    *,
    hours: Sequence[Hours],
    off: Sequence[TimeOff],
    taken: Sequence[Taken],
    work: Work,
    since: datetime,
    until: datetime,
) -> list[Slot]:
    """Return every slot that begins in [since, until), in order of time, venue and staff."""
    found: set[Slot] = set()
    for staff_id, venue_id in sorted({(h.staff_id, h.venue_id) for h in hours}):
        own = [h for h in hours if (h.staff_id, h.venue_id) == (staff_id, venue_id)]
        starting = [
            stretch for h in own for stretch in _worked(h, since - timedelta(days=1), until + timedelta(days=1))
        ]
        gone = merged(o.span for o in off if o.concerns(staff_id, venue_id))
        open_ = without(merged((s.start, s.end) for s in starting), gone)
        busy = merged((t.starts_at, t.ends_at) for t in taken if t.staff_id == staff_id)
        free = [
            Slot(at, venue_id, staff_id)
            for at in _starts(starting, grid=work.grid, since=since, until=until)
            if _covers(open_, at, at + work.duration)
            and not _meets(busy, at - work.before, at + work.duration + work.after)
        ]
        found.update(free)
    return sorted(found)


def _worked(hours: Hours, since: datetime, until: datetime) -> Iterator[Stretch]:
    """Yield when these hours are worked on every date that an instant of [since, until) can have."""
    day, last = since.date() - timedelta(days=1), until.date() + timedelta(days=1)
    while day <= last:
        if hours.apply_to(day):
            yield from stretches(hours.zone, day, hours.from_minute, hours.to_minute)
        day += timedelta(days=1)


def _starts(worked: Sequence[Stretch], *, grid: int, since: datetime, until: datetime) -> set[datetime]:
    """Return the instants at which the wall shows a time of the grid."""
    found = set()
    for stretch in worked:
        shown = stretch.start + stretch.offset
        minute = shown.hour * 60 + shown.minute + (1 if shown.second or shown.microsecond else 0)
        step = -(-minute // grid) * grid
        at = shown.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=step) - stretch.offset
        while at < stretch.end:
            if since <= at < until:
                found.add(at)
            at += timedelta(minutes=grid)
    return found


def _covers(spans: Sequence[Span], start: datetime, end: datetime) -> bool:
    """True when one of the merged spans holds [start, end)."""
    place = bisect_left(spans, start, key=lambda span: span[1])
    while place < len(spans) and spans[place][1] <= start:
        place += 1
    return place < len(spans) and spans[place][0] <= start and end <= spans[place][1]


def _meets(spans: Sequence[Span], start: datetime, end: datetime) -> bool:
    """True when one of the merged spans overlaps [start, end)."""
    place = bisect_left(spans, start, key=lambda span: span[1])
    while place < len(spans) and spans[place][1] <= start:
        place += 1
    return place < len(spans) and spans[place][0] < end
