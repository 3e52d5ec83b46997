"""A staff member's time: taken by appointments, which the database keeps apart, and by classes, which this does.

Whoever gives a time of somebody away locks his row first, so strongly that a class of his cannot be written meanwhile (its foreign
key waits), and then looks. So an appointment is never made over a class, whichever of the two comes first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.apps.booking.bookings import rows, telling
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict

POLICY: Final = "policy:holds"


class StaffBusy(Conflict):
    """The staff member is taken then: by an appointment, its buffers included, or by a class."""

    code = "staff_busy"


_LOCK = "select id from staff where tenant_id = $1 and id = any($2::uuid[]) order by id for update"

# No class is longer than a day.
_TEACHES = """
select exists (select from class_instance
  where tenant_id = $1 and staff_id = $2 and status = 'scheduled' and starts_at < $4::timestamptz and ends_at > $3::timestamptz
    and starts_at > $3::timestamptz - interval '1 day')
"""

_END_HOLDS = f"""
update booking set status = 'expired', version = version + 1, cancelled_at = $5, cancelled_by = '{POLICY}'
where tenant_id = $1 and staff_id = $2 and kind = 'service' and status = 'held' and held_until <= $5
  and starts_at > $3::timestamptz - interval '2 days' and starts_at < $4::timestamptz + interval '2 days'
returning {rows.COLUMNS}
"""


_END_HOLD = f"""
update booking set status = 'expired', version = version + 1, cancelled_at = $3, cancelled_by = '{POLICY}'
where tenant_id = $1 and id = $2 and kind = 'service'
  and ((status = 'held' and held_until <= $3) or (status = 'requested' and starts_at <= $3))
returning {rows.COLUMNS}
"""


async def end_hold(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, now: datetime) -> None:
    """Give up an appointment that was held and not paid in time, or requested and not confirmed."""
    row = await tx.fetchrow(_END_HOLD, tenant_id, booking_id, now)
    if row:
        fact = telling.of_booking("booking.expired", rows.read(row))
        await telling.tell(tx, tenant_id=tenant_id, actor=POLICY, facts=[fact], now=now)


async def lock_staff(tx: Transaction, *, tenant_id: UUID, staff_ids: Sequence[UUID]) -> None:
    """Let nobody else give away the time of these people until the commit."""
    await tx.fetch(_LOCK, tenant_id, list(staff_ids))


async def make_room(
    tx: Transaction, *, tenant_id: UUID, staff_id: UUID, busy: tuple[datetime, datetime], now: datetime
) -> None:
    """End what is held no longer about a time, and see that he teaches no class then. Raises StaffBusy.

    The staff member is locked. Other appointments are found by the constraint, when the row is written.
    """
    if await tx.fetchval(_TEACHES, tenant_id, staff_id, *busy):
        raise taken()
    over = rows.read_all(await tx.fetch(_END_HOLDS, tenant_id, staff_id, *busy, now))
    facts = [telling.of_booking("booking.expired", each) for each in over]
    await telling.tell(tx, tenant_id=tenant_id, actor=POLICY, facts=facts, now=now)


def taken() -> StaffBusy:
    """Return the refusal of a time that is taken."""
    return StaffBusy("that time is taken", hint="Ask GET /v1/availability for the times that are free.")
