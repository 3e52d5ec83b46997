"""Give up a booking: what it would do is decided by one pure function, told before, and done by the same."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.apps.booking import fees, passes
from bursar.apps.booking.bookings import paying, queueing, refunds, rows, seats, telling
from bursar.apps.booking.bookings.models import Booking, CreditsBack, Status
from bursar.apps.booking.bookings.refusals import BookingNotLive, BookingNotRequested, BookingUnfit, ClassBegun
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction

_CANCELLABLE: Final = ("requested", "held", "booked")
_ALL: Final = 100
"""Percent. Where all of the money goes back, the coupon does too."""

_CANCEL = f"""
update booking set status = $3, cancelled_at = $4, cancelled_by = $5, cancel_reason = $6, credits_back = $7, version = version + 1
where tenant_id = $1 and id = $2 and status in ('requested', 'held', 'booked')
returning {rows.COLUMNS}
"""

_LOTS = """
select bool_or(l.is_expired or l.expires_at <= $3) as any_expired, min(l.expires_at) as expires_at
from credit_movement m join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
where m.tenant_id = $1 and m.spend_id = $2 and m.kind = 'spent'
"""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What cancelling does. is_late: after `cancel_by`. is_grace: credits whose lot expired come back in a lot of its own.

    money_back_minor: of what was paid, if it was. is_given: whether credits are given back at all.
    """

    status: Status
    is_late: bool
    credits: int
    is_given: bool
    is_grace: bool
    money_back_percent: int
    cancel_by: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """A consequence in figures, and in words for the customer. fee: what is owed for it."""

    consequence: Consequence
    booking: Booking
    credits_back: CreditsBack
    credits_expire_at: datetime | None
    money_back_minor: int
    fee: Money | None
    text: str


def consequence_of(booking: Booking, *, is_customer: bool, now: datetime) -> Consequence:
    """Return what cancelling now does. Pure. Raises BookingNotLive, BookingUnfit, ClassBegun.

    The business gives everything back. What is only requested or held binds nobody.
    """
    _check(booking, is_customer=is_customer, now=now)
    terms = booking.terms
    is_late = is_customer and booking.status == "booked" and now > booking.cancel_by
    is_kept = is_late and terms.late_cancel == "keep"
    percent = 100 if not is_customer or booking.is_pending else 0 if is_kept else terms.money_back
    return Consequence(
        status="late_cancelled" if is_late else "cancelled",
        is_late=is_late,
        credits=booking.credit_cost,
        is_given=not is_kept,
        is_grace=not is_customer or terms.expired_lot == "grace",
        money_back_percent=percent,
        cancel_by=booking.cancel_by,
    )


async def consequence(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, now: datetime, actor: str = "") -> Told:
    """Say what it would do if the customer cancelled now. actor: who does it for him. Raises BookingNotFound, BookingNotLive, BookingUnfit, ClassBegun."""
    booking = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    found = consequence_of(booking, is_customer=True, now=now)
    paid = await refunds.paid_of(tx, tenant_id=tenant_id, booking=booking)
    back: CreditsBack = "none"
    expires_at = None
    if booking.spend_id:
        lots = await tx.fetchrow(_LOTS, tenant_id, booking.spend_id, now)
        back, expires_at = "same_lot", lots["expires_at"]
        if not found.is_given:
            back, expires_at = "kept", None
        elif lots["any_expired"]:
            back = "new_lot" if found.is_grace else "kept"
            expires_at = paying.replaced_until(grace_days=booking.terms.grace_days, is_replaced=found.is_grace, now=now)
    minor = refunds.share(paid.minor, found.money_back_percent) if paid else 0
    fee = None
    if found.is_late:
        fee = await fees.due(tx, tenant_id=tenant_id, offence=_offence(booking), actor=actor, now=now)
    return Told(found, booking, back, expires_at, minor, fee, _worded(booking, found, back=back, minor=minor, fee=fee))


async def cancel(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    is_customer: bool,
    reason: str | None,
    actor: str,
    now: datetime,
    declines: bool = False,
    is_told: bool = True,
) -> Booking:
    """Give up a booking: the seat is free, and whoever waits has it at once; what it cost goes back as the terms say.

    is_customer: by the booking's own terms, whoever asks for it; otherwise the business takes the seat back, and gives everything back.
    declines: only what is requested still; of two who confirm and decline, one succeeds. is_told: the customer, by a letter.
    Raises BookingNotFound, BookingNotLive, BookingNotRequested, BookingUnfit, ClassBegun.
    """
    before = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    consequence_of(before, is_customer=is_customer, now=now)  # what has ended needs no lock to be refused
    a_class = None
    if before.class_id:
        await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=[before.class_id])
        a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=before.class_id)
    booking = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if declines and booking.status != "requested":
        raise BookingNotRequested(
            f"{booking.number} is {booking.status}", hint="Only what is requested is declined: look at it again."
        )
    found = consequence_of(booking, is_customer=is_customer, now=now)
    if a_class:
        await queueing.prepare(tx, tenant_id=tenant_id, a_class=a_class, leaving=[booking], freed=booking.seats)
    back = await _give_back(tx, tenant_id=tenant_id, booking=booking, found=found, actor=actor, now=now)
    row = await tx.fetchrow(_CANCEL, tenant_id, booking_id, found.status, now, actor, reason, back)
    done = rows.read(row)
    if found.money_back_percent == _ALL:
        await paying.let_coupons_go(tx, tenant_id=tenant_id, bookings=[booking], now=now)
    if found.money_back_percent and not booking.is_pending:
        await refunds.promise_all(tx, tenant_id=tenant_id, bookings=[done], percent=found.money_back_percent)
    letter = telling.CANCELLED if is_told and booking.status != "held" else None
    fact = telling.of_booking("booking.cancelled", done, letter=letter, credits_back=back, is_late=found.is_late)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now, reason=reason)
    if found.is_late:
        await fees.raise_fee(tx, tenant_id=tenant_id, offence=_offence(done), actor=actor, now=now)
    if a_class:
        a_class = await seats.release(
            tx, tenant_id=tenant_id, class_id=a_class.id, seats=booking.seats, is_held=booking.is_pending
        )
        await queueing.give_up_offers(tx, tenant_id=tenant_id, bookings=[booking], now=now)
        await queueing.promote(tx, tenant_id=tenant_id, a_class=a_class, now=now)
    return done


def _offence(booking: Booking) -> fees.Offence:
    return fees.Offence("late_cancel", booking.id, booking.customer_id, booking.starts_at, booking.terms)


async def _give_back(
    tx: Transaction, *, tenant_id: UUID, booking: Booking, found: Consequence, actor: str, now: datetime
) -> CreditsBack:
    if booking.spend_id is None:
        return "none"
    if not found.is_given:
        return "kept"
    return await passes.give_back(
        tx,
        tenant_id=tenant_id,
        spend_id=booking.spend_id,
        terms=booking.terms,
        is_ours=found.is_grace,
        actor=actor,
        now=now,
    )


def _check(booking: Booking, *, is_customer: bool, now: datetime) -> None:
    shown = f"{ids.show(ids.BOOKING, booking.id)} ({booking.number})"
    if not booking.is_live:
        raise BookingNotLive(f"{shown} is {booking.status} already", hint="There is nothing to cancel.")
    if booking.status not in _CANCELLABLE:
        raise BookingUnfit(f"{shown} is {booking.status}", hint="Undo its attendance first.")
    if is_customer and booking.status == "booked" and booking.starts_at <= now:
        raise ClassBegun(f"what {shown} is for has begun", hint="Staff may mark it as not attended, or cancel it.")


def _worded(booking: Booking, found: Consequence, *, back: CreditsBack, minor: int, fee: Money | None) -> str:
    said = []
    if found.is_late:
        said.append("It is too late to cancel at no cost.")
    if booking.spend_id:
        count = f"{booking.credit_cost} credit{'' if booking.credit_cost == 1 else 's'}"
        ends = {
            "same_lot": f"You get {count} back.",
            "new_lot": f"Your credits have expired: you get {count} back that end {booking.terms.grace_days} days from now.",
            "kept": f"You do not get {count} back.",
        }
        said.append(ends[back])
    if booking.order_id and not booking.is_pending:
        said.append("Your money goes back." if minor else "Your money does not go back.")
    if fee:
        said.append(f"You owe a fee of {fee}.")
    return " ".join([*said, "Your seat is given up."])
