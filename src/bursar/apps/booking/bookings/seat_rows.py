"""Payments of seats as rows, and the bookings that they are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.rows import COLUMNS, read_all
from bursar.kernel.db import Transaction
from bursar.money.payments.brought import Brought

SeatStatus = Literal["waiting", "seated", "returning", "released"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of the money of one grant. reason: why it waits or goes back. due_at: when waiting ends.

    returning_minor: how much goes back; None: all that is left.
    """

    grant_id: UUID
    purchase_id: UUID
    booking_id: UUID | None
    status: SeatStatus
    reason: str | None = None
    is_disputed: bool = False
    due_at: datetime | None = None
    returning_minor: int | None = None


_COLUMNS: Final = (
    "p.grant_id, p.purchase_id, p.booking_id, p.status, p.reason, p.is_disputed, p.due_at, p.returning_minor"
)

_OF_GRANTS = f"""
select {_COLUMNS} from seat_payment p where p.tenant_id = $1 and p.grant_id = any($2::uuid[]) order by p.grant_id for update
"""

_OF_BOOKINGS = f"""
select {_COLUMNS} from seat_payment p
where p.tenant_id = $1 and p.booking_id = any($2::uuid[]) and p.status in ('seated', 'waiting') order by p.grant_id
"""

_WRITE = """
insert into seat_payment as p (tenant_id, grant_id, purchase_id, booking_id, status, reason, is_disputed, due_at, returning_minor)
select $1, grant_id, purchase_id, booking_id, status, reason, is_disputed, due_at, returning_minor
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bool[], $8::timestamptz[], $9::bigint[])
  as new (grant_id, purchase_id, booking_id, status, reason, is_disputed, due_at, returning_minor)
on conflict (tenant_id, grant_id) do update
set purchase_id = excluded.purchase_id, booking_id = excluded.booking_id, status = excluded.status, reason = excluded.reason,
    is_disputed = excluded.is_disputed, due_at = excluded.due_at, returning_minor = excluded.returning_minor,
    changed_at = clock_timestamp()
where (p.purchase_id, p.booking_id, p.status, p.reason, p.is_disputed, p.due_at, p.returning_minor)
  is distinct from (excluded.purchase_id, excluded.booking_id, excluded.status, excluded.reason, excluded.is_disputed, excluded.due_at,
    excluded.returning_minor)
"""

_BOOKINGS = f"select {COLUMNS} from booking where tenant_id = $1 and order_id = any($2::uuid[]) order by id"
_BOOKINGS_LOCKED = f"{_BOOKINGS} for no key update"


async def rows_of_grants(tx: Transaction, *, tenant_id: UUID, grant_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return what is known of grants, each row this transaction's until the commit."""
    found = await tx.fetch(_OF_GRANTS, tenant_id, list(grant_ids))
    return {row["grant_id"]: Row(**dict(row)) for row in found}


async def rows_of_bookings(tx: Transaction, *, tenant_id: UUID, booking_ids: Sequence[UUID]) -> list[Row]:
    """Return the payments that bookings are seated by, and those that wait."""
    return [Row(**dict(row)) for row in await tx.fetch(_OF_BOOKINGS, tenant_id, list(booking_ids))]


async def write_rows(tx: Transaction, *, tenant_id: UUID, changed: Sequence[Row]) -> None:
    """Bring rows to what is given. Those that release a booking come before those that take it."""
    for group in (
        [row for row in changed if row.status != "seated"],
        [row for row in changed if row.status == "seated"],
    ):
        if group:
            await tx.execute(
                _WRITE,
                tenant_id,
                [row.grant_id for row in group],
                [row.purchase_id for row in group],
                [row.booking_id for row in group],
                [row.status for row in group],
                [row.reason for row in group],
                [row.is_disputed for row in group],
                [row.due_at for row in group],
                [row.returning_minor for row in group],
            )


async def bookings_of(
    tx: Transaction, *, tenant_id: UUID, paid: Mapping[UUID, Brought], lock: bool = False
) -> dict[UUID, Booking]:
    """Return the booking that each purchase is for, where there is one."""
    order_ids = sorted({order_id for each in paid.values() for order_id in each.order_ids})
    if not order_ids:
        return {}
    found = read_all(await tx.fetch(_BOOKINGS_LOCKED if lock else _BOOKINGS, tenant_id, order_ids))
    by_order = {booking.order_id: booking for booking in found}
    named = {purchase: [by_order[o] for o in each.order_ids if o in by_order] for purchase, each in paid.items()}
    return {purchase: its[0] for purchase, its in named.items() if its}
