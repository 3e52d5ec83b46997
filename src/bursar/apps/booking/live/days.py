"""A day: its classes with their seats, its appointments, and who comes to one class."""

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.bookings import LIVE
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.zones import FIRST_DAY, earliest_of, latest_of

CLASSES_MAX: Final = 500
APPOINTMENTS_MAX: Final = 1_000
SEATS_MAX: Final = 1_000
_LAST_DAY: Final = date(2999, 12, 31)


class DayInvalid(Invalid):
    """There is no such day."""

    code = "day_invalid"


@dataclass(frozen=True, slots=True)
class DayClass:
    """A class of the day. held, booked, attended, missed: seats. waiting: who waits. status: scheduled or cancelled."""

    id: UUID
    title: str
    category: str
    status: str
    is_published: bool
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    is_shifted: bool
    venue_id: UUID
    venue: str
    room: str | None
    staff: str | None
    capacity: int
    held: int
    booked: int
    waiting: int
    attended: int
    missed: int

    @property
    def left(self) -> int:
        """Seats that can still be sold."""
        return max(self.capacity - self.held - self.booked, 0)

    @property
    def is_overbooked(self) -> bool:
        return self.held + self.booked > self.capacity


@dataclass(frozen=True, slots=True)
class Appointment:
    """A service that is given on the day."""

    id: UUID
    number: str
    title: str
    status: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    venue: str
    staff: str
    customer_id: UUID
    customer: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day at a business's venues, or at one. classes, appointments: by time; `is_cut`: there are more than are shown."""

    date: date
    classes: tuple[DayClass, ...]
    appointments: tuple[Appointment, ...]
    is_cut: bool

    @property
    def taking_place(self) -> tuple[DayClass, ...]:
        return tuple(each for each in self.classes if each.status == "scheduled")

    @property
    def booked(self) -> int:
        return sum(each.booked for each in self.taking_place)

    @property
    def capacity(self) -> int:
        return sum(each.capacity for each in self.taking_place)

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.taking_place)

    @property
    def attended(self) -> int:
        return sum(each.attended for each in self.taking_place)


@dataclass(frozen=True, slots=True)
class RosterSeat:
    """Somebody who has, or had, a seat."""

    id: UUID
    number: str
    status: str
    seats: int
    customer_id: UUID
    customer: str
    source: str
    paid_with: str
    override_reason: str | None
    due_minor: int | None
    currency: str | None
    is_ordered: bool
    held_until: datetime | None
    attended_at: datetime | None
    created_at: datetime

    @property
    def due(self) -> Money | None:
        """What has to be paid before it is booked; None: nothing, or not yet."""
        waits = self.status == "held" and self.is_ordered and self.due_minor and self.currency
        return Money(self.due_minor or 0, self.currency or "") if waits else None


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """Somebody who waits, in order."""

    id: UUID
    seq: int
    seats: int
    status: str
    customer_id: UUID
    customer: str
    told: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Roster:
    """Who comes to a class, who came no more, and who waits. A class that is not the tenant's has an empty one."""

    seats: tuple[RosterSeat, ...]
    gone: tuple[RosterSeat, ...]
    waiting: tuple[RosterEntry, ...]


_CUSTOMER = "coalesce(nullif(left(p.name, 120), ''), left(p.email, 120), 'a customer without a name') as customer"

# By venue, so that an index serves a business with several of them, too. It is one of instants: so the day is bounded by them.
_CLASSES = """
select c.id, c.title, c.category, c.status, c.is_published, c.starts_at, c.ends_at, c.time_zone, c.is_shifted, c.venue_id, v.name as venue,
  r.name as room, s.name as staff, c.capacity, c.held, c.booked, c.waiting, seen.attended, seen.missed
from venue v
join class_instance c on c.tenant_id = v.tenant_id and c.venue_id = v.id and c.local_date = $2 and c.starts_at >= $5 and c.starts_at < $6
left join room r on r.tenant_id = c.tenant_id and r.id = c.room_id
left join staff s on s.tenant_id = c.tenant_id and s.id = c.staff_id
cross join lateral (
  select coalesce(sum(b.seats) filter (where b.status = 'attended'), 0)::integer as attended,
    coalesce(sum(b.seats) filter (where b.status = 'no_show'), 0)::integer as missed
  from booking b where b.tenant_id = c.tenant_id and b.class_id = c.id and b.status in ('attended', 'no_show')
) as seen
where v.tenant_id = $1 and ($3::uuid is null or v.id = $3) and c.status in ('scheduled', 'cancelled')
order by c.starts_at, c.id limit $4
"""

_APPOINTMENTS = f"""
select b.id, b.number, coalesce(b.snapshot ->> 'title', 'appointment') as title, b.status, b.starts_at, b.ends_at, v.time_zone, v.name as venue,
  s.name as staff, b.customer_id, {_CUSTOMER}
from booking b
join venue v on v.tenant_id = b.tenant_id and v.id = b.venue_id
join staff s on s.tenant_id = b.tenant_id and s.id = b.staff_id
join customer p on p.tenant_id = b.tenant_id and p.id = b.customer_id
where b.tenant_id = $1 and b.local_date = $2 and b.kind = 'service' and ($3::uuid is null or b.venue_id = $3)
order by b.starts_at, b.id limit $4
"""

_SEATS = f"""
select b.id, b.number, b.status, b.seats, b.customer_id, {_CUSTOMER}, b.source, b.paid_with, b.override_reason,
  b.due_minor, b.currency, b.order_id is not null as is_ordered, b.held_until, b.attended_at,
  b.created_at
from booking b join customer p on p.tenant_id = b.tenant_id and p.id = b.customer_id
where b.tenant_id = $1 and b.class_id = $2 order by b.is_live desc, b.id limit $3
"""

_WAITING = f"""
select w.id, w.seq, w.seats, w.status, w.customer_id, {_CUSTOMER}, w.told, w.created_at
from waitlist_entry w join customer p on p.tenant_id = w.tenant_id and p.id = w.customer_id
where w.tenant_id = $1 and w.class_id = $2 and w.status in ('waiting', 'offered', 'skipped') order by w.seq limit $3
"""


async def day_of(tx: Transaction, *, tenant_id: UUID, day: date, venue_id: UUID | None) -> Day:
    """Return a day by the clocks of the venues. venue_id: None: of all. Raises DayInvalid."""
    if not FIRST_DAY <= day <= _LAST_DAY:
        wrong = FieldError("date", "out_of_range", f"a day from {FIRST_DAY} to {_LAST_DAY}")
        raise DayInvalid("there is no such day here", hint="Ask for another day.", fields=(wrong,))
    classes = await tx.fetch(_CLASSES, tenant_id, day, venue_id, CLASSES_MAX + 1, earliest_of(day), latest_of(day))
    given = await tx.fetch(_APPOINTMENTS, tenant_id, day, venue_id, APPOINTMENTS_MAX + 1)
    return Day(
        day,
        tuple(DayClass(**dict(row)) for row in classes[:CLASSES_MAX]),
        tuple(Appointment(**dict(row)) for row in given[:APPOINTMENTS_MAX]),
        is_cut=len(classes) > CLASSES_MAX or len(given) > APPOINTMENTS_MAX,
    )


async def roster_of(tx: Transaction, *, tenant_id: UUID, class_id: UUID) -> Roster:
    """Return who comes to a class."""
    seats = [_seat(row) for row in await tx.fetch(_SEATS, tenant_id, class_id, SEATS_MAX)]
    waiting = await tx.fetch(_WAITING, tenant_id, class_id, SEATS_MAX)
    return Roster(
        tuple(each for each in seats if each.status in LIVE),
        tuple(each for each in seats if each.status not in LIVE),
        tuple(RosterEntry(**dict(row)) for row in waiting),
    )


def _seat(row: Any) -> RosterSeat:
    return RosterSeat(**{f.name: row[f.name] for f in fields(RosterSeat)})
