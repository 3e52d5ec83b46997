"""Move an appointment: the new time is taken and the old one let go in one statement, with the same people or others."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from bursar.apps.booking import policies
from bursar.apps.booking.bookings import rows, staffed, telling
from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.refusals import BookingNotLive, BookingUnfit, ReschedulesUsedUp, RescheduleTooLate
from bursar.apps.booking.bookings.staffed import StaffBusy
from bursar.apps.booking.services.appointments import (
    NewAppointment,
    busy_of,
    candidates_for,
    check_customer,
    date_of,
    snapshot_of,
    take,
)
from bursar.apps.booking.services.availability import offer_of_booking
from bursar.kernel import ids
from bursar.kernel.db import Transaction, attempt

_MOVABLE: Final = ("requested", "held", "booked")

_MOVE = f"""
update booking set starts_at = $3, ends_at = $4, local_date = $5, busy = tstzrange($6, $7), staff_id = $8, venue_id = $9,
  snapshot = $10::text::jsonb, cancel_by = $11, moves = moves + 1, version = version + 1, override_reason = coalesce($12, override_reason)
where tenant_id = $1 and id = $2 and status in ('requested', 'held', 'booked')
returning {rows.COLUMNS}
"""


async def reschedule(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    starts_at: datetime,
    staff_id: UUID | None,
    venue_id: UUID | None,
    override_reason: str | None,
    actor: str,
    now: datetime,
) -> Booking:
    """Move an appointment by its own terms; staff with a reason moves it whatever they say. Its price and payment go with it.

    staff_id None: who gives it now if he is free then, else whoever is.
    Raises BookingNotFound, BookingNotLive, BookingUnfit, RescheduleTooLate, ReschedulesUsedUp, SlotNotOffered, StaffBusy, CustomerBusy.
    """
    before = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if before.kind != "service":
        raise BookingUnfit("it is a seat in a class", hint="Only appointments are moved here.")
    _check(before, is_waived=override_reason is not None, now=now)
    offer = await offer_of_booking(tx, tenant_id=tenant_id, booking=before)
    new = NewAppointment(
        service_id=offer.service_id,
        tier_id=offer.tier_id,
        customer_id=before.customer_id,
        starts_at=starts_at,
        staff_id=staff_id,
        venue_id=venue_id,
        override_reason=override_reason,
    )
    candidates = await candidates_for(tx, tenant_id=tenant_id, offer=offer, new=new, now=now, moving=booking_id)
    await check_customer(tx, tenant_id=tenant_id, offer=offer, new=new, now=now, moving=booking_id)
    for candidate in sorted(candidates, key=lambda each: each.staff_id != before.staff_id):
        try:
            async with attempt(tx):
                busy = busy_of(offer, starts_at)
                await take(tx, tenant_id=tenant_id, staff_id=candidate.staff_id, busy=busy, now=now)
                locked = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
                _check(locked, is_waived=override_reason is not None, now=now)
                times = (starts_at, starts_at + offer.work.duration, date_of(candidate, starts_at), *busy)
                place = (candidate.staff_id, candidate.place.id, snapshot_of(offer, candidate, starts_at))
                by = policies.cancel_by(locked.terms, starts_at)
                row = await tx.fetchrow(_MOVE, tenant_id, booking_id, *times, *place, by, override_reason)
                return await _tell(tx, tenant_id, locked, rows.read(row), override_reason, actor, now)
        except (StaffBusy, asyncpg.ExclusionViolationError):
            continue
    raise staffed.taken()


def _check(booking: Booking, *, is_waived: bool, now: datetime) -> None:
    shown = f"{ids.show(ids.BOOKING, booking.id)} ({booking.number})"
    if not booking.is_live:
        raise BookingNotLive(f"{shown} is {booking.status} already", hint="Make a new appointment.")
    if booking.status not in _MOVABLE:
        raise BookingUnfit(f"{shown} is {booking.status}", hint="Undo its attendance first.")
    if is_waived or booking.status != "booked":
        return
    if booking.moves >= booking.terms.reschedules_max:
        raise ReschedulesUsedUp(
            f"{shown} was moved {booking.moves} times", hint="Its terms allow no more; staff may with a reason."
        )
    if now > policies.reschedule_by(booking.terms, booking.starts_at):
        raise RescheduleTooLate(f"it is too late to move {shown}", hint="Staff may with a reason.")


async def _tell(  # noqa: PLR0917
    tx: Transaction, tenant_id: UUID, before: Booking, after: Booking, reason: str | None, actor: str, now: datetime
) -> Booking:
    more = {"from": before.starts_at, "staff": ids.show(ids.STAFF, after.staff_id or before.id)}
    letter = telling.MOVED if after.status == "booked" else None
    fact = telling.of_booking("booking.rescheduled", after, letter=letter, **more)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now, reason=reason)
    return after
