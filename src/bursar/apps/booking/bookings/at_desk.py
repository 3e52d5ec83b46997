"""Money for a booking that is taken at the desk: written down as a payment of its order, which makes it sure like any other payment."""

from datetime import datetime
from uuid import UUID

from bursar.apps.booking.bookings import rows
from bursar.apps.booking.bookings.refusals import BookingOwesNothing
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.desk.recording import record_payment
from bursar.money.gateways.manual import DeskMethod


async def take_payment(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    method: DeskMethod,
    actor: str,
    now: datetime,
    reference: str | None = None,
    account_id: UUID | None = None,
) -> UUID:
    """Write down that what a held booking has to be paid with was taken at the desk; return the event that tells it.

    reference: None: the booking's id, so that one booking is not paid twice. account_id: which desk, where there are several.
    Raises BookingNotFound, BookingOwesNothing, and what `record_payment` raises.
    """
    booking = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    shown = ids.show(ids.BOOKING, booking_id)
    if booking.status != "held" or booking.order_id is None or not booking.due_minor or booking.currency is None:
        is_gone = not booking.is_live
        raise BookingOwesNothing(
            f"{shown} is {booking.status}, and waits for no money",
            hint="Its seat was given up: book it again."
            if is_gone
            else "Only what is held until it is paid is paid so.",
        )
    return await record_payment(
        tx,
        tenant_id=tenant_id,
        account_id=account_id,
        reference=reference or shown,
        amount_minor=booking.due_minor,
        currency=booking.currency,
        method=method,
        customer_id=booking.customer_id,
        email=None,
        price=None,
        quantity=1,
        order_id=booking.order_id,
        description=None,
        occurred_at=now,
        actor=actor,
    )
