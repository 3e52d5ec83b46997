"""When what is held ends by itself."""

from typing import Final
from uuid import UUID

from bursar.apps.booking.bookings.models import Booking
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction

EXPIRE_HOLD: Final = "bookings.expire_hold"


async def watch(tx: Transaction, *, tenant_id: UUID, booking: Booking) -> None:
    """Have a hold end when it is over."""
    ends_at = booking.held_until if booking.status == "held" else booking.starts_at
    if booking.is_pending:
        name = ids.show(ids.BOOKING, booking.id)
        key = f"{name}.{booking.version}"
        await jobs.enqueue(tx, tenant_id=tenant_id, kind=EXPIRE_HOLD, key=key, request=name.encode(), run_at=ends_at)
