"""Customers who are deleted or erased: what they booked and wait for is given up, as the business gives it up.

So all of it goes back: credits to their lots, money to where it came from; no fee is owed. What has begun stays.
"""

from typing import Final
from uuid import UUID

from bursar.apps.booking import passes
from bursar.apps.booking.bookings import cancelling, waiting
from bursar.apps.booking.bookings.refusals import BookingNotLive, BookingUnfit, NotWaiting
from bursar.kernel.db import attempt
from bursar.kernel.jobs import Resources
from bursar.money.customers import Why

POLICY: Final = "policy:departures"
_CLOSED: Final = "The customer account was closed."

_WAITS = "select id from waitlist_entry where tenant_id = $1 and customer_id = $2 and status in ('waiting', 'offered') order by id"
_AHEAD = """
select id from booking
where tenant_id = $1 and customer_id = $2 and starts_at > $3 and status in ('requested', 'held', 'booked') order by starts_at, id
"""


async def end_ahead(resources: Resources, tenant_id: UUID, customer_id: UUID, why: Why) -> None:
    """Give up whatever a customer booked or waits for that has not begun, each in a transaction of its own. Harmless when repeated.

    Who is deleted is told by a letter; who is erased is written to no more.
    """
    now = resources.now()
    async with resources.db.tenant(tenant_id) as tx:
        # Whatever he books now is in front of this, and seen, or behind it.
        await passes.queue_up(tx, tenant_id=tenant_id, customer_id=customer_id)
        waits = [row["id"] for row in await tx.fetch(_WAITS, tenant_id, customer_id)]
        ahead = [row["id"] for row in await tx.fetch(_AHEAD, tenant_id, customer_id, now)]
    for entry_id in waits:
        async with resources.db.tenant(tenant_id) as tx:
            try:
                async with attempt(tx):
                    await waiting.leave(tx, tenant_id=tenant_id, entry_id=entry_id, actor=POLICY, now=now)
            except NotWaiting:
                continue
    for booking_id in ahead:
        async with resources.db.tenant(tenant_id) as tx:
            try:
                async with attempt(tx):
                    await cancelling.cancel(
                        tx,
                        tenant_id=tenant_id,
                        booking_id=booking_id,
                        is_customer=False,
                        reason=_CLOSED,
                        actor=POLICY,
                        now=now,
                        is_told=why == "deleted",
                    )
            except (BookingNotLive, BookingUnfit):
                continue
