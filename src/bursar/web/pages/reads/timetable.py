"""What anybody may see of a business's schedule: classes that are published, with what is left of them and what they cost."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.deposits import deposit_of
from bursar.apps.booking.schedule.taxes import Tax
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.zones import earliest_of, latest_of, zone_named

CLASSES_MAX: Final = 400
OTHERS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A class as customers see it. money: what a seat costs who pays with money; None: it is not sold for money. tax: of its venue.

    deposit_percent: what of the money is paid to book it; None: all of it.
    """

    id: UUID
    title: str
    about: str
    category: str
    starts_at: datetime
    ends_at: datetime
    local_date: date
    time_zone: str
    status: str
    is_shifted: bool
    capacity: int
    taken: int
    waiting: int
    credit_cost: int
    policy_id: UUID | None
    price_id: UUID | None
    deposit_percent: int | None
    money: Money | None
    tax: Tax
    venue: str
    address: str
    room: str | None
    staff: str | None
    staff_about: str
    cancel_reason: str | None

    @property
    def public_id(self) -> str:
        return ids.show(ids.CLASS, self.id)

    @property
    def zone(self) -> ZoneInfo:
        return zone_named(self.time_zone)

    @property
    def left(self) -> int:
        return max(self.capacity - self.taken, 0)

    @property
    def is_free(self) -> bool:
        return not self.credit_cost and self.price_id is None

    @property
    def tax_of_seat(self) -> Money | None:
        """What of the money for one seat is tax, or comes on top of it."""
        return self.money and Money(self.tax.of(self.money.minor).tax_minor, self.money.currency)

    @property
    def to_pay(self) -> Money | None:
        """What one seat costs with its tax."""
        return self.money and Money(self.tax.of(self.money.minor).gross_minor, self.money.currency)

    @property
    def ahead(self) -> Money | None:
        """What one seat costs before it is sure."""
        return self.to_pay and Money(deposit_of(self.to_pay.minor, self.deposit_percent), self.to_pay.currency)

    @property
    def rest(self) -> Money | None:
        """What of it is paid at the desk; None: nothing."""
        rest = self.to_pay.minor - self.ahead.minor if self.to_pay and self.ahead else 0
        return Money(rest, self.to_pay.currency) if self.to_pay and rest else None

    @property
    def begins(self) -> str:
        """The time of day, to stand beside its date and zone."""
        return times.clock(self.starts_at, self.time_zone)

    @property
    def ends(self) -> str:
        return times.clock(self.ends_at, self.time_zone)

    @property
    def zone_short(self) -> str:
        """The zone's letters at that moment: `CET`."""
        return times.letters(self.starts_at, self.time_zone)

    @property
    def told(self) -> str:
        return times.told(self.starts_at, self.time_zone)

    @property
    def minutes(self) -> int:
        return round((self.ends_at - self.starts_at).total_seconds() / 60)

    def state(self, now: datetime) -> str:
        """Return `open`, `full`, `begun` or `cancelled`."""
        if self.status != "scheduled":
            return "cancelled"
        if self.starts_at <= now:
            return "begun"
        return "open" if self.left and not self.waiting else "full"


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a timetable. zone: the letters of the zone that all its classes share; None: they have several."""

    date: date
    classes: tuple[Listed, ...]

    @property
    def zone(self) -> str | None:
        shorts = {each.zone_short for each in self.classes}
        return shorts.pop() if len(shorts) == 1 else None


@dataclass(frozen=True, slots=True)
class Place:
    """A venue that classes take place at."""

    id: UUID
    name: str

    @property
    def public_id(self) -> str:
        return ids.show(ids.VENUE, self.id)


_COLUMNS: Final = """c.id, c.title, c.about, c.category, c.starts_at, c.ends_at, c.local_date, c.time_zone, c.status, c.is_shifted,
  c.capacity, c.held + c.booked as taken, c.waiting, c.credit_cost, c.policy_id, c.deposit_percent, p.id as price_id, p.amount_minor, p.currency,
  v.name as venue, v.address, v.tax_bp, v.tax_included, r.name as room, s.name as staff, coalesce(s.about, '') as staff_about, c.cancel_reason"""

_FROM: Final = """from class_instance c
join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id
left join room r on r.tenant_id = c.tenant_id and r.id = c.room_id
left join staff s on s.tenant_id = c.tenant_id and s.id = c.staff_id
left join price p on p.tenant_id = c.tenant_id and p.id = c.price_id and p.is_active and p.deleted_at is null"""

_WEEK = f"""
select {_COLUMNS} {_FROM}
where c.tenant_id = $1 and c.local_date >= $2 and c.local_date < $3 and c.is_published and c.status <> 'deleted'
  and ($4::uuid is null or c.venue_id = $4) and c.ends_at > $5 and c.starts_at >= $6 and c.starts_at < $7
order by c.local_date, c.starts_at, c.id limit {CLASSES_MAX}
"""

_NEXT = """
select c.local_date from class_instance c
where c.tenant_id = $1 and c.starts_at > $2 and c.is_published and c.status = 'scheduled' and ($3::uuid is null or c.venue_id = $3)
order by c.starts_at limit 1
"""

_ONE = f"select {_COLUMNS} {_FROM} where c.tenant_id = $1 and c.id = $2 and c.is_published and c.status <> 'deleted'"

# What costs the same and has the seats; the same class on another day first.
_OTHERS = f"""
select {_COLUMNS} {_FROM}
join class_instance o on o.tenant_id = c.tenant_id and o.id = $2
where c.tenant_id = $1 and c.starts_at > $3 and c.starts_at < $3::timestamptz + interval '28 days' and c.id <> o.id and c.is_published
  and c.status = 'scheduled' and c.waiting = 0 and c.held + c.booked + $4 <= c.capacity and c.credit_cost = o.credit_cost
  and c.price_id is not distinct from o.price_id
order by c.title <> o.title, c.starts_at, c.id limit {OTHERS_MAX}
"""

_PLACES = """
select v.id, v.name from venue v where v.tenant_id = $1 and v.deleted_at is null order by v.name, v.id limit 50
"""


async def timetable(
    tx: Transaction, *, tenant_id: UUID, since: date, until: date, venue_id: UUID | None, now: datetime
) -> tuple[Day, ...]:
    """Return the days with classes from one date until before another; classes that are over are left out."""
    rows = await tx.fetch(_WEEK, tenant_id, since, until, venue_id, now, earliest_of(since), latest_of(until))
    days: dict[date, list[Listed]] = {}
    for row in rows:
        days.setdefault(row["local_date"], []).append(_listed(row))
    return tuple(Day(day, tuple(classes)) for day, classes in days.items())


async def next_day(tx: Transaction, *, tenant_id: UUID, after: datetime, venue_id: UUID | None) -> date | None:
    """Return the date of the next class after an instant; None where none is planned."""
    found: date | None = await tx.fetchval(_NEXT, tenant_id, after, venue_id)
    return found


async def listed_class(tx: Transaction, *, tenant_id: UUID, class_id: UUID) -> Listed | None:
    """Return a class; None where customers see none of this id."""
    row = await tx.fetchrow(_ONE, tenant_id, class_id)
    return _listed(row) if row else None


async def others(tx: Transaction, *, tenant_id: UUID, class_id: UUID, seats: int, now: datetime) -> list[Listed]:
    """Return classes of the next four weeks that somebody could go to instead."""
    return [_listed(row) for row in await tx.fetch(_OTHERS, tenant_id, class_id, now, seats)]


async def places(tx: Transaction, *, tenant_id: UUID) -> tuple[Place, ...]:
    """Return the venues of a business."""
    return tuple(Place(row["id"], row["name"]) for row in await tx.fetch(_PLACES, tenant_id))


def _listed(row: Any) -> Listed:
    told = dict(row)
    minor, currency = told.pop("amount_minor"), told.pop("currency")
    tax = Tax(told.pop("tax_bp"), told.pop("tax_included"))
    return Listed(**told, tax=tax, money=Money(minor, currency) if minor is not None else None)
