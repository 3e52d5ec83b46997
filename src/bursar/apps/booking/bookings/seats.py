"""Seats: counted on the class, each change one guarded statement with a check constraint behind it.

Whoever changes what a class's seats are holds the class's row until the commit, before lots and bookings: so all that
happens to the bookings of one class happens in one order. Several classes are locked in the order of their ids.

`overbook` is always what is given out beyond the capacity, and nothing else: a seat that is given back shrinks it first.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.bookings.models import ClassSeats
from bursar.apps.booking.passes import POOLS_HERE
from bursar.apps.booking.schedule import ClassNotFound
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_COLUMNS: Final = f"""c.id, c.title, c.status, c.is_published, c.starts_at, c.ends_at, c.local_date, c.time_zone, c.venue_id,
  (select v.name from venue v where v.tenant_id = c.tenant_id and v.id = c.venue_id) as venue, c.staff_id,
  (select s.name from staff s where s.tenant_id = c.tenant_id and s.id = c.staff_id) as staff,
  c.policy_id, c.price_id, c.deposit_percent, c.credit_cost, {POOLS_HERE} as pools, c.capacity, c.overbook, c.held, c.booked, c.waiting, c.version"""

_ONE = f"select {_COLUMNS} from class_instance c where c.tenant_id = $1 and c.id = $2 and c.status <> 'deleted'"
# Another statement than the one that locks tells what those before in the queue have written of other tables.
_LOCKED = f"""
select {_COLUMNS} from class_instance c where c.tenant_id = $1 and c.id = any($2::uuid[]) and c.status <> 'deleted' order by c.id for no key update of c
"""

_TAKE = f"""
update class_instance as c set held = c.held + $3, booked = c.booked + $4
where c.tenant_id = $1 and c.id = $2 and c.status = 'scheduled' and c.held + c.booked + $3 + $4 + $6 <= c.capacity
  and (c.waiting = 0 or $5)
returning {_COLUMNS}
"""

_TAKE_BEYOND = f"""
update class_instance as c
set held = c.held + $3, booked = c.booked + $4, overbook = greatest(c.held + c.booked + $3 + $4 - c.capacity, 0)
where c.tenant_id = $1 and c.id = $2 and c.status = 'scheduled'
returning {_COLUMNS}
"""

_RELEASE = f"""
update class_instance as c
set held = c.held - $3, booked = c.booked - $4, overbook = greatest(c.held + c.booked - $3 - $4 - c.capacity, 0)
where c.tenant_id = $1 and c.id = $2
returning {_COLUMNS}
"""

_CONFIRM = f"""
update class_instance as c set held = c.held - $3, booked = c.booked + $3
where c.tenant_id = $1 and c.id = $2 and c.status = 'scheduled' and (c.booked + $3 <= c.capacity or $4)
returning {_COLUMNS}
"""


async def class_of(tx: Transaction, *, tenant_id: UUID, class_id: UUID) -> ClassSeats:
    """Return a class as it stands, unlocked. Raises ClassNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, class_id)
    if row is None:
        raise unknown(class_id)
    return _seats(row)


async def locked(tx: Transaction, *, tenant_id: UUID, class_id: UUID) -> ClassSeats:
    """Return a class whose row is this transaction's until the commit. Raises ClassNotFound."""
    return (await locked_all(tx, tenant_id=tenant_id, class_ids=[class_id]))[class_id]


async def locked_all(tx: Transaction, *, tenant_id: UUID, class_ids: Sequence[UUID]) -> dict[UUID, ClassSeats]:
    """Lock several classes, in the order of their ids. Raises ClassNotFound."""
    found = {row["id"]: _seats(row) for row in await tx.fetch(_LOCKED, tenant_id, list(class_ids))}
    for class_id in class_ids:
        if class_id not in found:
            raise unknown(class_id)
    return found


async def take(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    seats: int,
    is_held: bool,
    is_ahead: bool = False,
    kept: int = 0,
) -> ClassSeats | None:
    """Take seats that are free; None where there are not so many, or somebody waits for them.

    is_held: until they are paid or confirmed. is_ahead: of those who wait, because it is their own turn, or waiting is over.
    kept: seats that are left free, for others.
    """
    held, booked = (seats, 0) if is_held else (0, seats)
    row = await tx.fetchrow(_TAKE, tenant_id, class_id, held, booked, is_ahead, kept)
    return _seats(row) if row else None


async def take_beyond(
    tx: Transaction, *, tenant_id: UUID, class_id: UUID, seats: int, is_held: bool
) -> ClassSeats | None:
    """Take seats though there are none, as staff may knowingly; None where the class is cancelled."""
    held, booked = (seats, 0) if is_held else (0, seats)
    row = await tx.fetchrow(_TAKE_BEYOND, tenant_id, class_id, held, booked)
    return _seats(row) if row else None


async def release(tx: Transaction, *, tenant_id: UUID, class_id: UUID, seats: int, is_held: bool) -> ClassSeats:
    """Give seats back."""
    held, booked = (seats, 0) if is_held else (0, seats)
    return _seats(await tx.fetchrow(_RELEASE, tenant_id, class_id, held, booked))


async def confirm(
    tx: Transaction, *, tenant_id: UUID, class_id: UUID, seats: int, is_beyond: bool
) -> ClassSeats | None:
    """Make held seats booked ones; None where more would be booked than the class has.

    is_beyond: all the same; for what is paid, and what staff does knowingly.
    """
    row = await tx.fetchrow(_CONFIRM, tenant_id, class_id, seats, is_beyond)
    return _seats(row) if row else None


def unknown(class_id: UUID) -> ClassNotFound:
    """Return the refusal of a class that this business does not have."""
    return ClassNotFound(f"there is no class {ids.show(ids.CLASS, class_id)}", hint="See GET /v1/classes.")


def _seats(row: Any) -> ClassSeats:
    told = dict(row)
    return ClassSeats(**told | {"pools": tuple(told["pools"])})
