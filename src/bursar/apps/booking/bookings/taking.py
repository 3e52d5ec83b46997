"""Book: seats, what they cost, and the booking, in one transaction."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bursar.apps.booking import passes, policies, rules
from bursar.apps.booking.bookings import admitting, deadlines, holding, paying, queueing, rows, telling, waiting
from bursar.apps.booking.bookings.models import (
    MONEYED,
    STAFFED,
    UNPRICED,
    Booking,
    ClassSeats,
    PaidWith,
    Pays,
    Source,
    Status,
)
from bursar.apps.booking.bookings.paying import NOWHERE, Landing
from bursar.kernel import ids, outbox
from bursar.kernel.db import Transaction


async def book(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    customer_id: UUID,
    seats: int = 1,
    source: Source,
    actor: str,
    now: datetime,
    pays: Pays = "auto",
    override_reason: str | None = None,
    booking_id: UUID | None = None,
    landing: Landing = NOWHERE,
    coupon: str | None = None,
) -> Booking:
    """Give a customer seats in a class, or refuse, and change nothing.

    Paid with money they are held until the payment is reported. Where the terms want it, they are requested until staff confirms.
    A customer to whom a seat was offered from the waitlist takes that one.
    coupon: a code that lessens the price; what it leaves nothing of is booked at once.
    override_reason: why staff overbooks, or gives for nothing what costs something. booking_id: a fresh id that makes a repeat harmless.
    Raises ClassFull, AlreadyBooked, NotBookable, CreditsInsufficient, CouponUsedUp, PaymentMissing, ClassNotFound, ClassCancelled,
    ClassBegun, ClassOver, CustomerNotFound, and what `checkouts.start` raises.
    """
    if booking_id and (known := await rows.known_booking(tx, tenant_id=tenant_id, booking_id=booking_id)):
        return known
    await passes.queue_up(tx, tenant_id=tenant_id, customer_id=customer_id)
    place: dict[str, Any] = {"tenant_id": tenant_id, "class_id": class_id, "customer_id": customer_id}
    asked: dict[str, Any] = {"seats": seats, "source": source, "pays": pays, "coupon": coupon, "now": now}
    situation = await rules.situation(tx, **place, **asked)
    if situation.own.has_lapsed:
        await holding.free_expired(tx, tenant_id=tenant_id, class_id=class_id, now=now)
        situation = await rules.situation(tx, **place, **asked)
    if situation.own.has_offer and (mine := await rows.live_booking(tx, **place)) and queueing.is_offer(mine, now=now):
        return await waiting.accept(
            tx,
            tenant_id=tenant_id,
            class_id=class_id,
            booking_id=mine.id,
            count=seats,
            pays=pays,
            coupon=coupon,
            landing=landing,
            actor=actor,
            now=now,
        )
    admitting.judge(situation, is_waived=override_reason is not None)
    paid_with = paying.way_to_pay(situation, is_waived=override_reason is not None)
    price: paying.Sum | None = None
    if paid_with in MONEYED:
        price = await paying.price_of(
            tx,
            tenant_id=tenant_id,
            class_id=class_id,
            seats=seats,
            coupon=situation.coupon,
            part=situation.credits_of_both,
        )
    status = _status_of(situation, is_due=price is not None and price.due_minor > 0)
    async with outbox.together(tx, tenant_id=tenant_id):
        a_class, overbooked = await holding.take_for(
            tx,
            tenant_id=tenant_id,
            situation=situation,
            is_held=status in ("requested", "held"),
            is_beyond=override_reason is not None,
        )
        admitting.check_time(a_class, source=source, now=now)
        made = await _pay_and_write(
            tx,
            tenant_id=tenant_id,
            booking_id=booking_id or ids.new(),
            customer_id=customer_id,
            a_class=a_class,
            situation=situation,
            status=status,
            paid_with=paid_with,
            part=situation.credits_of_both,
            price=price,
            landing=landing,
            override_reason=override_reason,
            overbooked=overbooked,
            actor=actor,
        )
        if a_class.waiting:
            await queueing.settle(tx, tenant_id=tenant_id, booking=made, now=now)
        await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
        await _tell(tx, tenant_id=tenant_id, made=made, actor=actor, now=now)
    return made


def _status_of(situation: rules.Situation, *, is_due: bool) -> Status:
    if situation.terms.needs_approval and situation.source not in STAFFED:
        return "requested"
    if is_due:
        return "held"
    has_begun = situation.a_class.starts_at <= situation.now
    return "attended" if situation.source == "walk_in" and has_begun else "booked"


async def _pay_and_write(
    tx: Transaction,
    *,
    tenant_id: UUID,
    booking_id: UUID,
    customer_id: UUID,
    a_class: ClassSeats,
    situation: rules.Situation,
    status: Status,
    paid_with: PaidWith,
    part: int,
    price: paying.Sum | None,
    landing: Landing,
    override_reason: str | None,
    overbooked: int,
    actor: str,
) -> Booking:
    """Take the credits, or ask for the money, and write the booking. Raises CreditsInsufficient, AlreadyBooked, CouponUsedUp."""
    who: dict[str, Any] = {"tenant_id": tenant_id, "customer_id": customer_id}
    seats, terms, now = situation.seats, situation.terms, situation.now
    order_id = held_until = None
    paid = passes.Paid("nothing")
    if paid_with in ("credits", "membership"):
        place: dict[str, Any] = {"booking_id": booking_id, "a_class": a_class, "seats": seats}
        paid = await paying.pay(tx, **who, **place, actor=actor, now=now, situation=situation)
        paid_with = paid.paid_with
    elif part:
        place = {"booking_id": booking_id, "a_class": a_class, "seats": seats, "part": part}
        paid = await paying.pay(tx, **who, **place, actor=actor, now=now)
    if status == "held":
        assert price is not None, "what is held waits for money"
        held_until = now + timedelta(minutes=terms.hold_minutes)
        order_id = await paying.ask_for_money(
            tx,
            **who,
            price_id=a_class.price_id,
            quantity=seats,
            landing=landing,
            actor=actor,
            asks_minor=price.asks_minor,
            telling_of=None if situation.source in STAFFED else booking_id,
            now=now,
        )
    made = await rows.write(
        tx,
        **who,
        booking_id=booking_id,
        a_class=a_class,
        status=status,
        seats=seats,
        source=situation.source,
        paid_with=paid_with,
        terms=terms,
        cancel_by=policies.cancel_by(terms, a_class.starts_at),
        booked_by=actor,
        credit_cost=paid.amount,
        spend_id=paid.spend_id,
        order_id=order_id,
        priced=price.priced if price else UNPRICED,
        held_until=held_until,
        override_reason=override_reason,
        overbooked=overbooked,
        attended_at=now if status == "attended" else None,
    )
    await paying.redeem(tx, tenant_id=tenant_id, booking=made, now=now)
    return made


async def _tell(tx: Transaction, *, tenant_id: UUID, made: Booking, actor: str, now: datetime) -> None:
    topic = {"requested": telling.REQUESTED, "held": "booking.held"}.get(made.status, telling.BOOKED)
    letter = None if made.status == "held" or made.source in STAFFED else topic
    more = {"overbooked": made.overbooked} if made.overbooked else {}
    fact = telling.of_booking(topic, made, letter=letter, **more)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now, reason=made.override_reason)
