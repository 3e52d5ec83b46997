"""Staff confirms what was requested: its held seats become booked ones, or it waits for its payment from now on."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.apps.booking.bookings import deadlines, paying, rows, seats, telling
from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.paying import NOWHERE, Landing
from bursar.apps.booking.bookings.refusals import BookingNotRequested, ClassFull
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_CONFIRM: Final = f"""
update booking set status = $3, order_id = $4, held_until = $5, override_reason = coalesce($6, override_reason), version = version + 1
where tenant_id = $1 and id = $2 and status = 'requested'
returning {rows.COLUMNS}
"""


async def confirm(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    actor: str,
    now: datetime,
    override_reason: str | None = None,
    landing: Landing = NOWHERE,
) -> Booking:
    """Confirm a request. Of two who confirm one request, or two for one seat, one succeeds.

    override_reason: why more are booked than the class has, where its capacity was lowered meanwhile.
    Raises BookingNotFound, BookingNotRequested, ClassFull, and what `checkouts.start` raises.
    """
    seen = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    class_id = seen.class_id
    if class_id is None or seen.status != "requested":
        raise _not_requested(seen)
    a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    asked = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if asked.status != "requested":
        raise _not_requested(asked)
    order_id = held_until = None
    if asked.due_minor:
        held_until = now + timedelta(minutes=asked.terms.hold_minutes)
        order_id = await paying.ask_for_money(
            tx,
            tenant_id=tenant_id,
            customer_id=asked.customer_id,
            price_id=_price_of(asked) or a_class.price_id,
            quantity=asked.seats,
            landing=landing,
            actor=actor,
            asks_minor=asked.asks_minor,
        )
    elif not await seats.confirm(
        tx, tenant_id=tenant_id, class_id=class_id, seats=asked.seats, is_beyond=override_reason is not None
    ):
        raise ClassFull(
            f"{a_class.title} has {a_class.capacity} seats, and {a_class.booked} are booked",
            hint="Cancel the request, or confirm it with a reason for overbooking.",
            context={"capacity": a_class.capacity, "booked": a_class.booked},
        )
    status = "held" if order_id else "booked"
    row = await tx.fetchrow(_CONFIRM, tenant_id, booking_id, status, order_id, held_until, override_reason)
    done = rows.read(row)
    await deadlines.watch(tx, tenant_id=tenant_id, booking=done)
    topic = "booking.held" if order_id else telling.BOOKED
    fact = telling.of_booking(topic, done, letter=telling.TO_PAY if order_id else topic)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now, reason=override_reason)
    return done


def _not_requested(booking: Booking) -> BookingNotRequested:
    return BookingNotRequested(
        f"{ids.show(ids.BOOKING, booking.id)} is {booking.status}", hint="Only what was requested is confirmed."
    )


def _price_of(booking: Booking) -> UUID | None:
    """Return the price that a booking was made at, whatever its class costs by now; None for one of before prices were kept."""
    kept = booking.snapshot.get("price")
    return ids.parse(ids.PRICE, kept) if kept else None
