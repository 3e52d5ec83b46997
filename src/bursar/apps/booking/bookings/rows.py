"""Bookings and entries as rows: read, locked, written."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.bookings import numbers
from bursar.apps.booking.bookings.models import UNPRICED, Booking, ClassSeats, Entry, PaidWith, Priced, Source, Status
from bursar.apps.booking.bookings.refusals import AlreadyBooked, BookingNotFound
from bursar.apps.booking.policies import Terms, terms_read
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_NUMBERS_MAX: Final = 20
"""Random numbers that are tried before something must be wrong."""

_NAMES: Final = tuple(f.name for f in fields(Booking))
_READ: Final = {"terms": "terms::text as terms", "snapshot": "snapshot::text as snapshot"}
COLUMNS: Final = ", ".join(_READ.get(name, name) for name in _NAMES)
PRICED: Final = ", ".join(Priced._fields)
ENTRY_COLUMNS: Final = ", ".join(f.name for f in fields(Entry))

_ONE = f"select {COLUMNS} from booking where tenant_id = $1 and id = $2"
_LOCKED = f"{_ONE} for no key update"
# What was promised stays: nobody's time to cancel ends sooner than it did, unless the class itself begins before.
_FOLLOW = f"""
update booking set starts_at = $3, ends_at = $4, local_date = $5, venue_id = $6, staff_id = $7,
  cancel_by = greatest(least(cancel_by, $3), $3 - make_interval(mins => coalesce((terms ->> 'cancel_minutes')::integer, 1440))),
  snapshot = snapshot || $8::text::jsonb, version = version + 1
where tenant_id = $1 and class_id = $2 and status in ('requested', 'held', 'booked', 'attended', 'no_show') and ($9::uuid is null or id = $9)
returning {COLUMNS}
"""
_FOLLOWING: Final = ("venue", "staff", "starts_at", "ends_at", "time_zone")
_LIVE = f"""
select {COLUMNS} from booking
where tenant_id = $1 and class_id = $2 and customer_id = $3 and kind = 'class'
  and status in ('requested', 'held', 'booked', 'attended', 'no_show')
"""

_WRITE = f"""
insert into booking (tenant_id, id, number, customer_id, kind, class_id, staff_id, venue_id, status, seats, starts_at, ends_at, local_date,
  source, paid_with, credit_cost, spend_id, order_id, terms, snapshot, cancel_by, held_until, override_reason, overbooked, moved_from,
  moves, booked_by, attended_at, {PRICED})
values ($1, $2, $3, $4, 'class', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18::text::jsonb, $19::text::jsonb,
  $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)
on conflict do nothing
returning {COLUMNS}
"""


async def booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID) -> Booking:
    """Return one booking. Raises BookingNotFound."""
    return _found(await tx.fetchrow(_ONE, tenant_id, booking_id), booking_id)


async def locked_booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID) -> Booking:
    """Return one booking whose row is this transaction's. Its class, if it has one, was locked before. Raises BookingNotFound."""
    return _found(await tx.fetchrow(_LOCKED, tenant_id, booking_id), booking_id)


async def known_booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID) -> Booking | None:
    """Return a booking, if there is one of this id."""
    row = await tx.fetchrow(_ONE, tenant_id, booking_id)
    return read(row) if row else None


async def live_booking(tx: Transaction, *, tenant_id: UUID, class_id: UUID, customer_id: UUID) -> Booking | None:
    """Return the booking by which a customer has a seat in a class."""
    row = await tx.fetchrow(_LIVE, tenant_id, class_id, customer_id)
    return read(row) if row else None


async def write(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    a_class: ClassSeats,
    customer_id: UUID,
    status: Status,
    seats: int,
    source: Source,
    paid_with: PaidWith,
    terms: Terms,
    cancel_by: datetime,
    booked_by: str,
    credit_cost: int = 0,
    spend_id: UUID | None = None,
    order_id: UUID | None = None,
    priced: Priced = UNPRICED,
    held_until: datetime | None = None,
    override_reason: str | None = None,
    overbooked: int = 0,
    moved_from: UUID | None = None,
    moves: int = 0,
    attended_at: datetime | None = None,
) -> Booking:
    """Write a booking of a class under a number of its own. Raises AlreadyBooked."""
    place = (a_class.staff_id, a_class.venue_id)
    times: tuple[datetime, datetime, date] = (a_class.starts_at, a_class.ends_at, a_class.local_date)
    kept = (terms.canonical(), as_json(snapshot_of(a_class)))
    moved = (moved_from, moves)
    for _ in range(_NUMBERS_MAX):
        row = await tx.fetchrow(
            _WRITE,
            *(tenant_id, booking_id, numbers.number(), customer_id, a_class.id, *place, status, seats, *times),
            *(source, paid_with, credit_cost, spend_id, order_id, *kept, cancel_by, held_until),
            *(override_reason, overbooked, *moved, booked_by, attended_at, *priced),
        )
        if row:
            return read(row)
        # Nothing says which of the two was there already: the seat of this customer, or the number.
        if await live_booking(tx, tenant_id=tenant_id, class_id=a_class.id, customer_id=customer_id):
            raise already_booked(a_class)
    raise AssertionError("twenty random numbers were taken: there is no room for bookings, or no randomness")


async def follow(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, booking_id: UUID | None = None
) -> list[Booking]:
    """Bring the live bookings of a class, or one of them, to where and when it is now."""
    snapshot = {name: value for name, value in snapshot_of(a_class).items() if name in _FOLLOWING}
    times = (a_class.starts_at, a_class.ends_at, a_class.local_date)
    place = (a_class.venue_id, a_class.staff_id, as_json(snapshot))
    return read_all(await tx.fetch(_FOLLOW, tenant_id, a_class.id, *times, *place, booking_id))


def snapshot_of(a_class: ClassSeats) -> dict[str, Any]:
    """Return what is kept of a class with each of its bookings."""
    return {
        "title": a_class.title,
        "venue": a_class.venue,
        "staff": a_class.staff,
        "starts_at": a_class.starts_at.isoformat(),
        "ends_at": a_class.ends_at.isoformat(),
        "time_zone": a_class.time_zone,
        "credit_cost": a_class.credit_cost,
        "pools": a_class.pools,
        "price": ids.show(ids.PRICE, a_class.price_id) if a_class.price_id else None,
    }


def as_json(told: dict[str, Any]) -> str:
    """Return the text of a JSON value."""
    return msgspec.json.encode(told).decode()


def already_booked(a_class: ClassSeats) -> AlreadyBooked:
    """Return the refusal of a second seat."""
    return AlreadyBooked(
        f"the customer has a seat in {a_class.title}",
        hint="Cancel that booking first, or book seats for guests with it.",
        context={"class": ids.show(ids.CLASS, a_class.id)},
    )


def read(row: Any) -> Booking:
    """Return the booking of a row of COLUMNS."""
    told = dict(row)
    told["terms"] = terms_read(told["terms"])
    told["snapshot"] = msgspec.json.decode(told["snapshot"])
    return Booking(**told)


def read_all(rows: Sequence[Any]) -> list[Booking]:
    """Return the bookings of rows of COLUMNS."""
    return [read(row) for row in rows]


def _found(row: Any, booking_id: UUID) -> Booking:
    if row is None:
        raise BookingNotFound(f"there is no booking {ids.show(ids.BOOKING, booking_id)}", hint="See GET /v1/bookings.")
    return read(row)
