"""Move a booking to another class: the new seat first, then the old one is given up; one act, or nothing."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import coupons, passes, policies, rules
from bursar.apps.booking.bookings import admitting, holding, paying, queueing, rows, seats, telling
from bursar.apps.booking.bookings.models import Booking, ClassSeats, CreditsBack
from bursar.apps.booking.bookings.refusals import (
    BookingNotLive,
    BookingUnfit,
    ReschedulesUsedUp,
    RescheduleTooLate,
    RescheduleUnfit,
)
from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_LEAVE: Final = f"""
update booking set status = 'cancelled', cancelled_at = $3, cancelled_by = $4, cancel_reason = 'moved to another class', credits_back = $5,
  order_id = null, version = version + 1
where tenant_id = $1 and id = $2 and status = 'booked'
returning {rows.COLUMNS}
"""


# What was paid for the old booking is what the new one is sure by.
_CARRY: Final = (
    "update seat_payment set booking_id = $3, changed_at = clock_timestamp() where tenant_id = $1 and booking_id = $2"
)


async def reschedule(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    class_id: UUID,
    actor: str,
    now: datetime,
    override_reason: str | None = None,
) -> Booking:
    """Give a customer the same seats in another class, and give up the old ones; return the new booking.

    The old booking's terms say until when and how often. Credits go back to their lots and are taken anew, of what is good for the new
    class; what was paid with money moves to a class of the same price. override_reason: why staff moves it all the same, or overbooks.
    Raises BookingNotFound, BookingNotLive, BookingUnfit, RescheduleTooLate, ReschedulesUsedUp, RescheduleUnfit, NotBookable, ClassFull,
    AlreadyBooked, CreditsInsufficient, ClassNotFound.
    """
    seen = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    old_id = _class_of(seen)
    _check(
        seen, class_id=class_id, is_waived=override_reason is not None, now=now
    )  # what has ended needs no lock to be refused
    await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=[old_id, class_id], customer_ids=[seen.customer_id])
    classes = await seats.locked_all(tx, tenant_id=tenant_id, class_ids=sorted({old_id, class_id}))
    old = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    _check(old, class_id=class_id, is_waived=override_reason is not None, now=now)
    _check_price(old, old_class=classes[old_id], new_class=classes[class_id])
    situation = await admitting.admitted(
        tx,
        tenant_id=tenant_id,
        class_id=class_id,
        customer_id=old.customer_id,
        seats=old.seats,
        source="reschedule",
        pays="money" if old.paid_with == "money" else "auto",
        is_waived=override_reason is not None,
        leaving=old.id,
        now=now,
    )
    if old.paid_with != "money" and paying.way_to_pay(situation, is_waived=True) == "money":
        raise _unfit("the other class is paid with money, or with more credits than there are")
    if situation.terms.needs_approval and override_reason is None:
        raise _unfit("staff confirms every booking of the other class")
    new_class, overbooked = await holding.take_for(
        tx, tenant_id=tenant_id, situation=situation, is_held=False, is_beyond=override_reason is not None
    )
    return await _move(
        tx,
        tenant_id=tenant_id,
        old=old,
        old_class=classes[old_id],
        new_class=new_class,
        situation=situation,
        overbooked=overbooked,
        override_reason=override_reason,
        actor=actor,
        now=now,
    )


async def _move(
    tx: Transaction,
    *,
    tenant_id: UUID,
    old: Booking,
    old_class: ClassSeats,
    new_class: ClassSeats,
    situation: rules.Situation,
    overbooked: int,
    override_reason: str | None,
    actor: str,
    now: datetime,
) -> Booking:
    new_id = ids.new()
    await queueing.prepare(tx, tenant_id=tenant_id, a_class=old_class, leaving=[old], freed=old.seats)
    back = await _give_back(tx, tenant_id=tenant_id, old=old, actor=actor, now=now)
    paid = passes.Paid("nothing")
    if old.paid_with != "money":
        place: dict[str, Any] = {"booking_id": new_id, "a_class": new_class, "seats": old.seats, "leaving": old.id}
        who: dict[str, Any] = {"tenant_id": tenant_id, "customer_id": old.customer_id, "situation": situation}
        paid = await paying.pay(tx, **who, **place, actor=actor, now=now)
    terms = situation.terms
    left = rows.read(await tx.fetchrow(_LEAVE, tenant_id, old.id, now, actor, back))
    new = await rows.write(
        tx,
        tenant_id=tenant_id,
        booking_id=new_id,
        a_class=new_class,
        customer_id=old.customer_id,
        status="booked",
        seats=old.seats,
        source="reschedule",
        paid_with="money" if old.paid_with == "money" else paid.paid_with,
        terms=terms,
        cancel_by=policies.cancel_by(terms, new_class.starts_at),
        booked_by=actor,
        credit_cost=paid.amount,
        spend_id=paid.spend_id,
        order_id=old.order_id,
        priced=old.priced,
        override_reason=override_reason,
        overbooked=overbooked,
        moved_from=old.id,
        moves=old.moves + 1,
    )
    await tx.execute(_CARRY, tenant_id, old.id, new.id)
    if old.coupon_id:
        await coupons.carry(tx, tenant_id=tenant_id, booking_id=old.id, to=new.id)
    if new_class.waiting:
        await queueing.settle(tx, tenant_id=tenant_id, booking=new, now=now)
    moved = telling.of_booking(
        "booking.rescheduled", new, letter=telling.MOVED, moved_from=ids.show(ids.BOOKING, old.id)
    )
    gone = telling.of_booking("booking.cancelled", left, credits_back=back, moved_to=ids.show(ids.BOOKING, new.id))
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[moved, gone], now=now, reason=override_reason)
    free = await seats.release(tx, tenant_id=tenant_id, class_id=old_class.id, seats=old.seats, is_held=False)
    await queueing.promote(tx, tenant_id=tenant_id, a_class=free, now=now)
    return new


async def _give_back(tx: Transaction, *, tenant_id: UUID, old: Booking, actor: str, now: datetime) -> CreditsBack:
    if old.spend_id is None:
        return "none"
    return await passes.give_back(
        tx, tenant_id=tenant_id, spend_id=old.spend_id, terms=old.terms, is_ours=False, actor=actor, now=now
    )


def _class_of(booking: Booking) -> UUID:
    if booking.class_id is None:
        raise _unfit("an appointment is moved by its own route")
    return booking.class_id


def _check(old: Booking, *, class_id: UUID, is_waived: bool, now: datetime) -> None:
    shown = f"{ids.show(ids.BOOKING, old.id)} ({old.number})"
    if not old.is_live:
        raise BookingNotLive(f"{shown} is {old.status} already", hint="Book the other class instead.")
    if old.status != "booked":
        raise BookingUnfit(
            f"{shown} is {old.status}", hint="Only what is booked can be moved; cancel it and book anew."
        )
    if class_id == old.class_id:
        raise _unfit("it is of this class already")
    until = min(policies.reschedule_by(old.terms, old.starts_at), old.cancel_by)
    if now > until and not is_waived:
        zone = old.snapshot["time_zone"]
        raise RescheduleTooLate(
            f"it could be moved until {times.told(until, zone)}",
            hint="Ask at the desk: staff may move it, with a reason.",
        )
    if old.moves >= old.terms.reschedules_max and not is_waived:
        raise ReschedulesUsedUp(f"it was moved {old.moves} times", hint="Cancel it and book anew, or ask at the desk.")


def _check_price(old: Booking, *, old_class: ClassSeats, new_class: ClassSeats) -> None:
    if old.paid_with == "credits_and_money":
        raise _unfit("it was paid partly with credits and partly with money")
    if old.paid_with == "money" and old_class.price_id != new_class.price_id:
        raise _unfit("the other class has another price")


def _unfit(why: str) -> RescheduleUnfit:
    return RescheduleUnfit(why, hint="Cancel the booking and book the other class.")
