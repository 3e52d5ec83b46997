"""Who came and who did not."""

from datetime import datetime, timedelta
from uuid import UUID

from bursar.apps.booking import fees, passes, rules
from bursar.apps.booking.bookings import rows, seats, telling
from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.refusals import (
    BookingUnfit,
    CheckInTooEarly,
    CheckInTooLate,
    NoShowTooEarly,
)
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_ATTEND = f"""
update booking set status = 'attended', attended_at = $3, version = version + 1
where tenant_id = $1 and id = $2 and status in ('booked', 'no_show') and credits_back is null
returning {rows.COLUMNS}
"""

_UNDO = f"""
update booking set status = 'booked', attended_at = null, version = version + 1
where tenant_id = $1 and id = $2 and status in ('attended', 'no_show') and credits_back is null
  and not exists (
    select from seat_payment s where s.tenant_id = booking.tenant_id and s.booking_id = booking.id group by s.booking_id
    having bool_or(s.status = 'released') and not bool_or(s.status = 'seated'))
returning {rows.COLUMNS}
"""

_MISS = f"""
update booking set status = 'no_show', credits_back = $3, version = version + 1
where tenant_id = $1 and id = $2 and status = 'booked'
returning {rows.COLUMNS}
"""


async def check_in(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, actor: str, now: datetime) -> Booking:
    """Write down that the customer came; a repeat changes nothing.

    Raises BookingNotFound, BookingUnfit, CheckInTooEarly, CheckInTooLate.
    """
    before = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if before.status == "attended":
        return before
    chosen = await rules.settings_of(tx, tenant_id=tenant_id)
    minutes = rules.number_of(chosen, rules.CHECK_IN_WINDOW, "minutes")
    if now < before.starts_at - timedelta(minutes=minutes):
        raise CheckInTooEarly("it does not begin soon enough", hint=f"Check in from {minutes} minutes before.")
    _check_not_too_late(before, chosen, now=now)
    row = await tx.fetchrow(_ATTEND, tenant_id, booking_id, now)
    if row is None:
        raise _unfit(before, "attended")
    await _forgive(tx, tenant_id=tenant_id, before=before, actor=actor, now=now)
    return await _told(tx, tenant_id=tenant_id, row=row, topic="booking.attended", actor=actor, now=now)


async def undo_check_in(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, actor: str, now: datetime) -> Booking:
    """Take back that the customer came, or did not come; a repeat changes nothing.

    Raises BookingNotFound, BookingUnfit, CheckInTooLate.
    """
    before = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if before.status == "booked":
        return before
    _check_not_too_late(before, await rules.settings_of(tx, tenant_id=tenant_id), now=now)
    row = await tx.fetchrow(_UNDO, tenant_id, booking_id)
    if row is None:
        raise _unfit(before, "undone")
    await _forgive(tx, tenant_id=tenant_id, before=before, actor=actor, now=now)
    return await _told(tx, tenant_id=tenant_id, row=row, topic="booking.attendance_undone", actor=actor, now=now)


async def mark_no_show(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, actor: str, now: datetime) -> Booking:
    """Write down that the customer did not come; whether the credits go back, and which fee is owed, the booking's terms say. A repeat changes nothing.

    Raises BookingNotFound, BookingUnfit, NoShowTooEarly, CheckInTooLate.
    """
    seen = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if seen.class_id:
        await seats.locked(tx, tenant_id=tenant_id, class_id=seen.class_id)
    before = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if before.status == "no_show":
        return before
    chosen = await rules.settings_of(tx, tenant_id=tenant_id)
    minutes = rules.number_of(chosen, rules.NO_SHOW_AFTER, "minutes")
    if now < before.starts_at + timedelta(minutes=minutes):
        said = f"it has not begun {minutes} minutes ago" if minutes else "it has not begun"
        raise NoShowTooEarly(said, hint="Whoever is missing may still come; cancel it instead.")
    _check_not_too_late(before, chosen, now=now)
    if before.status != "booked":
        raise _unfit(before, "missed")
    back = None
    if before.spend_id and before.terms.no_show == "return":
        back = await passes.give_back(
            tx,
            tenant_id=tenant_id,
            spend_id=before.spend_id,
            terms=before.terms,
            is_ours=False,
            actor=actor,
            now=now,
        )
    row = await tx.fetchrow(_MISS, tenant_id, booking_id, back)
    done = await _told(tx, tenant_id=tenant_id, row=row, topic="booking.no_show", actor=actor, now=now)
    offence = fees.Offence("no_show", done.id, done.customer_id, done.starts_at, done.terms)
    await fees.raise_fee(tx, tenant_id=tenant_id, offence=offence, actor=actor, now=now)
    return done


async def _forgive(tx: Transaction, *, tenant_id: UUID, before: Booking, actor: str, now: datetime) -> None:
    """Take back the fee of who was marked as missing, and was not."""
    if before.status == "no_show":
        await fees.withdraw(tx, tenant_id=tenant_id, booking_ids=[before.id], actor=actor, now=now)


async def _told(tx: Transaction, *, tenant_id: UUID, row: object, topic: str, actor: str, now: datetime) -> Booking:
    done = rows.read(row)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[telling.of_booking(topic, done)], now=now)
    return done


def _check_not_too_late(booking: Booking, chosen: rules.Settings, *, now: datetime) -> None:
    days = rules.number_of(chosen, rules.ATTENDANCE_FINAL, "days")
    if now > booking.ends_at + timedelta(days=days):
        raise CheckInTooLate(
            "it is over for too long", hint=f"Attendance can be changed for {days} days after the end."
        )


def _unfit(booking: Booking, wanted: str) -> BookingUnfit:
    shown = ids.show(ids.BOOKING, booking.id)
    hint = "Only a booking that is booked can be."
    if booking.is_live and booking.credits_back:
        hint = "Its credits have gone back."
    elif wanted == "undone" and booking.order_id:
        hint = "Its payment has gone back: it is attended or missed, and not booked any more."
    return BookingUnfit(f"{shown} is {booking.status} and cannot be {wanted}", hint=hint)
