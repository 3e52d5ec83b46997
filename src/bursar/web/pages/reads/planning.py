"""What the pages of the schedule choose from: names of venues, rooms, staff, policies and prices."""

from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.zones import earliest_of, latest_of

SHOWN_MAX: Final = 200

_VENUES = f"""
select id, left(name, 80) as name, time_zone, left(address, 120) as address from venue
where tenant_id = $1 and deleted_at is null order by id limit {SHOWN_MAX}
"""
_ROOMS = f"""
select r.id, r.venue_id, left(r.name, 80) as name, r.capacity from room r
where r.tenant_id = $1 and r.deleted_at is null order by r.venue_id, r.id limit {SHOWN_MAX}
"""
_STAFF = f"""
select id, left(name, 80) as name, left(about, 120) as about, array_to_string(teaches, ', ') as teaches from staff
where tenant_id = $1 and deleted_at is null order by id limit {SHOWN_MAX}
"""
_POLICIES = f"""
select id, left(name, 80) as name, is_default from booking_policy
where tenant_id = $1 and deleted_at is null order by is_default desc, name, id limit {SHOWN_MAX}
"""
_PRICES = f"""
select p.id, left(d.name, 80) as name, p.amount_minor, p.currency, p.grants @> '[{{"kind": "seat"}}]' as is_seat
from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.is_active and p.deleted_at is null and p.interval is null order by is_seat desc, d.name, p.id limit {SHOWN_MAX}
"""

# Near the week by the instant, which is indexed; in it or not by the day in the venue's zone.
_LATER = """
select local_date from class_instance
where tenant_id = $1 and starts_at >= $2 and local_date >= $3 and status <> 'deleted' and ($4::uuid is null or venue_id = $4)
order by starts_at limit 1
"""
_EARLIER = """
select local_date from class_instance
where tenant_id = $1 and starts_at < $2 and local_date < $3 and status <> 'deleted' and ($4::uuid is null or venue_id = $4)
order by starts_at desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a form offers. id: public. about: what tells it from another of the same name. within: the venue of a room.

    teaches: categories of who of the staff.
    """

    id: str
    name: str
    about: str = ""
    within: str = ""
    capacity: int = 0
    teaches: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a class may consist of."""

    venues: tuple[Choice, ...]
    rooms: tuple[Choice, ...]
    staff: tuple[Choice, ...]
    policies: tuple[Choice, ...]
    prices: tuple[Choice, ...]

    def name(self, of: str) -> str:
        """Return what something is called; nothing for what was deleted."""
        return next((c.name for kind in (self.venues, self.rooms, self.staff) for c in kind if c.id == of), "")


async def choices_of(tx: Transaction, *, tenant_id: UUID) -> Choices:
    """Return what a class may consist of; of each kind those that are first."""
    venues = [
        Choice(ids.show(ids.VENUE, r["id"]), r["name"], f"{r['time_zone']} {r['address']}".strip())
        for r in await tx.fetch(_VENUES, tenant_id)
    ]
    named = {venue.id: venue.name for venue in venues}
    rooms = [
        Choice(ids.show(ids.ROOM, r["id"]), r["name"], named.get(venue, ""), venue, r["capacity"])
        for r, venue in ((r, ids.show(ids.VENUE, r["venue_id"])) for r in await tx.fetch(_ROOMS, tenant_id))
    ]
    staff = [
        Choice(ids.show(ids.STAFF, r["id"]), r["name"], r["about"], teaches=r["teaches"])
        for r in await tx.fetch(_STAFF, tenant_id)
    ]
    policies = [
        Choice(ids.show(ids.BOOKING_POLICY, r["id"]), r["name"], "default" if r["is_default"] else "")
        for r in await tx.fetch(_POLICIES, tenant_id)
    ]
    prices = [
        Choice(ids.show(ids.PRICE, r["id"]), r["name"], f"{r['amount_minor']} {r['currency']} in minor units")
        for r in await tx.fetch(_PRICES, tenant_id)
    ]
    return Choices(tuple(venues), tuple(rooms), tuple(staff), tuple(policies), tuple(prices))


async def days_around(
    tx: Transaction, *, tenant_id: UUID, monday: date, after: date, venue_id: UUID | None
) -> tuple[date | None, date | None]:
    """Return the last day before a week that has classes, and the first one after it."""
    earlier = await tx.fetchval(_EARLIER, tenant_id, latest_of(monday), monday, venue_id)
    later = await tx.fetchval(_LATER, tenant_id, earliest_of(after), after, venue_id)
    return earlier, later
