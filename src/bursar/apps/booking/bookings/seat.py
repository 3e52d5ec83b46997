"""The fulfiller `seat`: money that arrived for a booking makes it sure, and money that goes back frees its seat.

A grant of a seat is written down once, with what became of it, and every report of it begins from there: so a repeat does nothing.
Which booking it is for, its order says; the order is named by the gateway's own reports, and is read from those.

- in time: the hold is confirmed; late: seated again if that is possible, else the money goes back; never neither, never both;
- too little, or in another currency: it waits for the rest as long as the hold lasts, and then goes back;
- for nothing that is known, or paid twice: it waits an hour for a report that says otherwise, and then goes back;
- gone back or lost: the seat is free again; in dispute: the booking stays, and shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from bursar.apps.booking.bookings import holding, paying, queueing, seats, staffed, telling
from bursar.apps.booking.bookings.models import Booking, ClassSeats
from bursar.apps.booking.bookings.refusals import ClassFull
from bursar.apps.booking.bookings.rows import COLUMNS, follow, read_all
from bursar.apps.booking.bookings.seat_deciding import BY_PAYMENT, FULL, SHORT, SPENT, TWICE, Act, decide
from bursar.apps.booking.bookings.seat_rows import (
    Row,
    bookings_of,
    rows_of_bookings,
    rows_of_grants,
    write_rows,
)
from bursar.apps.booking.coupons import CouponUsedUp
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction, attempt
from bursar.kernel.errors import FieldError
from bursar.money.fulfilment import Change, GrantStatus
from bursar.money.fulfilment.fulfillers import SpecInvalid
from bursar.money.fulfilment.spending import CreditsInsufficient
from bursar.money.payments.brought import brought_by

SETTLE: Final = "bookings.settle_seat"
RETURN: Final = "bookings.return_money"

DISPUTED: Final = "booking.disputed"

_LOOK_AGAIN: Final = timedelta(minutes=1)
"""A report that names what money is for may bring no change of its grant, so that it is looked for."""

_CONFIRM = f"""
update booking set status = 'booked', held_until = null, cancelled_at = null, cancelled_by = null, cancel_reason = null,
  version = version + 1
where tenant_id = $1 and id = any($2::uuid[]) and status in ('held', 'expired', 'cancelled') returning {COLUMNS}
"""

_COUNT = """
update class_instance as c set held = c.held - n.seats, booked = c.booked + n.seats
from unnest($2::uuid[], $3::int[]) as n (id, seats) where c.tenant_id = $1 and c.id = n.id
"""

_SPENT_AGAIN = (
    f"update booking set spend_id = $3, credits_back = null where tenant_id = $1 and id = $2 returning {COLUMNS}"
)

_BUSY = "select lower(busy) as starts_at, upper(busy) as ends_at from booking where tenant_id = $1 and id = $2"

_FREE = f"""
update booking set status = 'cancelled', cancelled_at = $3, cancelled_by = $4, cancel_reason = 'the payment went back',
  held_until = null, version = version + 1
where tenant_id = $1 and id = $2 and status in ('held', 'booked') returning {COLUMNS}
"""


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant of a seat as it now is."""

    id: UUID
    purchase_id: UUID
    status: GrantStatus


class Seats:
    """Delivers `{"kind": "seat"}`: the booking that the purchase's order is for. A price of classes or appointments grants it."""

    kind = "seat"
    is_standing = False

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        if spec:
            field = min(spec)
            wrong = FieldError(field, "invalid", "a seat takes no fields; which seat it is, the order says")
            raise SpecInvalid(f"{field}: a seat takes no fields", fields=(wrong,))
        return {}

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> None:
        granted = [Granted(c.grant.id, c.target.source_id, c.target.status) for c in changes]
        await settle(tx, tenant_id=tenant_id, granted=granted, now=now)


async def settle(tx: Transaction, *, tenant_id: UUID, granted: Sequence[Granted], now: datetime) -> None:
    """Bring bookings to what the money for them now is. Harmless when repeated.

    Locks classes, then staff, then bookings, then payments of seats, each in the order of their ids.
    """
    paid = await brought_by(tx, tenant_id=tenant_id, purchase_ids=[g.purchase_id for g in granted])
    classes = await _lock(tx, tenant_id, list((await bookings_of(tx, tenant_id=tenant_id, paid=paid)).values()))
    found = await bookings_of(tx, tenant_id=tenant_id, paid=paid, lock=True)
    bookings = {purchase_id: _at_its_class(booking, classes) for purchase_id, booking in found.items()}
    known = await rows_of_grants(tx, tenant_id=tenant_id, grant_ids=[g.id for g in granted])
    others = await rows_of_bookings(tx, tenant_id=tenant_id, booking_ids=[b.id for b in bookings.values()])
    seated = {row.booking_id: row.grant_id for row in others if row.status == "seated"}
    cases = []
    # Those that let go of a booking first, so that another may have it.
    for grant in sorted(granted, key=lambda g: (g.status not in _ENDED, g.id)):
        row, booking = known.get(grant.id), bookings.get(grant.purchase_id)
        taken = {booking_id for booking_id, by in seated.items() if by != grant.id}
        act = decide(grant.status, row=row, booking=booking, paid=paid[grant.purchase_id], seated=taken, now=now)
        if booking and act.does in ("confirm", "seat_again", "keep"):
            seated[booking.id] = grant.id
        elif booking and act.does == "free":
            seated.pop(booking.id, None)
        cases.append(_Case(grant, row, booking, act))
    await _act(tx, tenant_id, _with_heirs(cases, others), now)


_ENDED: Final = (GrantStatus.revoked, GrantStatus.superseded)


@dataclass(frozen=True, slots=True)
class _Case:
    grant: Granted
    row: Row | None
    booking: Booking | None
    act: Act
    heir: Row | None = None

    def written(self, act: Act) -> Row:
        before = self.row or Row(self.grant.id, self.grant.purchase_id, None, "waiting")
        booking_id = self.booking.id if self.booking else before.booking_id
        row = replace(before, purchase_id=self.grant.purchase_id, booking_id=booking_id, reason=None, due_at=None)
        is_disputed = self.grant.status is GrantStatus.suspended
        if act.does in ("confirm", "seat_again", "keep"):
            return replace(row, status="seated", is_disputed=is_disputed)
        if act.does in ("free", "release"):
            return replace(row, status="released", is_disputed=False)
        status = "returning" if act.does == "return" else "waiting"
        return replace(row, status=status, reason=act.reason, due_at=act.due_at, is_disputed=is_disputed)  # type: ignore[arg-type]


def _with_heirs(cases: Sequence[_Case], others: Sequence[Row]) -> list[_Case]:
    """Give a booking whose payment turned out to be another one to that, instead of taking it back."""
    named = {case.grant.id for case in cases}
    waiting = {row.booking_id: row for row in others if row.reason == TWICE and row.grant_id not in named}
    return [
        replace(case, heir=waiting.get(case.booking.id))
        if case.booking and case.act.does == "free" and case.grant.status is GrantStatus.superseded
        else case
        for case in cases
    ]


def _at_its_class(booking: Booking, classes: Mapping[UUID, ClassSeats]) -> Booking:
    """Return a booking with the time of its class: where it had expired, it did not follow when that moved."""
    a_class = classes.get(booking.class_id) if booking.class_id else None
    return replace(booking, starts_at=a_class.starts_at, ends_at=a_class.ends_at) if a_class else booking


async def _lock(tx: Transaction, tenant_id: UUID, bookings: Sequence[Booking]) -> Mapping[UUID, ClassSeats]:
    class_ids = sorted({b.class_id for b in bookings if b.class_id})
    classes = await seats.locked_all(tx, tenant_id=tenant_id, class_ids=class_ids) if class_ids else {}
    staff = sorted({b.staff_id for b in bookings if b.kind == "service" and b.staff_id})
    if staff:
        await staffed.lock_staff(tx, tenant_id=tenant_id, staff_ids=staff)
    return classes


async def _act(tx: Transaction, tenant_id: UUID, cases: Sequence[_Case], now: datetime) -> None:
    written: list[Row] = []
    held = [case.booking for case in cases if case.booking and case.act.does == "confirm"]
    confirmed = await _confirm(tx, tenant_id, held)
    facts = [telling.of_booking(telling.BOOKED, booking, letter=telling.BOOKED) for booking in confirmed]
    for case in cases:
        act = case.act
        if act.does == "seat_again" and case.booking:
            again = await _seat_again(tx, tenant_id, case.booking, now)
            act = Act("return", again) if isinstance(again, str) else act
            facts += [] if isinstance(again, str) else [_again(again)]
        elif act.does == "free" and case.heir:
            written.append(replace(case.heir, status="seated", reason=None, due_at=None))
        elif act.does == "free" and case.booking:
            facts += await _free(tx, tenant_id, case.booking, now)
        if act.does != "nothing":
            row = case.written(act)
            written.append(row)
            facts += _told(case, row)
    await write_rows(tx, tenant_id=tenant_id, changed=written)
    await telling.tell(tx, tenant_id=tenant_id, actor=BY_PAYMENT, facts=facts, now=now)
    await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=_later(written, now))


def _told(case: _Case, row: Row) -> list[telling.Fact]:
    """Return what is told of money beside what is told of its booking."""
    before = case.row
    if case.booking and row.status == "seated" and row.is_disputed and not (before and before.is_disputed):
        return [telling.of_booking(DISPUTED, case.booking)]
    if row.status == "returning" and (before is None or before.status != "returning"):
        state = {"reason_code": row.reason, "purchase": ids.show(ids.PURCHASE, row.purchase_id)}
        if case.booking:
            return [telling.of_booking(telling.RETURNING, case.booking, letter=telling.RETURNING, **state)]
        return [telling.Fact(telling.RETURNING, ids.show(ids.GRANT, row.grant_id), state)]
    return []


def _later(rows: Sequence[Row], now: datetime) -> list[jobs.NewJob]:
    """Return what is to be done later about rows: money that goes back is asked for, and what waits is looked at again."""
    returning = [jobs.NewJob(RETURN, str(row.grant_id)) for row in rows if row.status == "returning"]
    return returning + [
        jobs.NewJob(SETTLE, str(row.grant_id), run_at=min(row.due_at, now + _LOOK_AGAIN))
        for row in rows
        if row.status == "waiting" and row.due_at
    ]


async def _confirm(tx: Transaction, tenant_id: UUID, held: Sequence[Booking]) -> list[Booking]:
    """Make held bookings sure: one statement for the bookings, one for the seats of their classes."""
    if not held:
        return []
    counts: dict[UUID, int] = {}
    for booking in held:
        if booking.class_id:
            counts[booking.class_id] = counts.get(booking.class_id, 0) + booking.seats
    if counts:
        await tx.execute(_COUNT, tenant_id, list(counts), list(counts.values()))
    made = read_all(await tx.fetch(_CONFIRM, tenant_id, [booking.id for booking in held]))
    assert len(made) == len(held), "the bookings are locked, and were held"
    return made


async def _seat_again(tx: Transaction, tenant_id: UUID, booking: Booking, now: datetime) -> Booking | str:
    """Give a booking that had expired its seat again, with its coupon; why not, where either is gone, or the seat is waited for."""
    try:
        async with attempt(tx):
            a_class: ClassSeats | None = None
            if booking.class_id:
                a_class = await _seat_in_class(tx, tenant_id, booking.class_id, count=booking.seats, now=now)
            elif booking.staff_id:
                busy = await tx.fetchrow(_BUSY, tenant_id, booking.id)
                times = (busy["starts_at"], busy["ends_at"])
                await staffed.make_room(tx, tenant_id=tenant_id, staff_id=booking.staff_id, busy=times, now=now)
            (made,) = read_all(await tx.fetch(_CONFIRM, tenant_id, [booking.id]))
            if a_class:
                (made,) = await follow(tx, tenant_id=tenant_id, a_class=a_class, booking_id=booking.id)
                await paying.redeem(tx, tenant_id=tenant_id, booking=made, now=now, is_again=True)
                made = await _with_credits(tx, tenant_id, made, a_class=a_class, now=now)
            return made
    except CouponUsedUp:
        return SPENT
    except CreditsInsufficient:
        return SHORT
    except (ClassFull, staffed.StaffBusy, asyncpg.ExclusionViolationError, asyncpg.UniqueViolationError):
        return FULL


async def _with_credits(
    tx: Transaction, tenant_id: UUID, booking: Booking, *, a_class: ClassSeats, now: datetime
) -> Booking:
    """Take anew the credits that an expired booking gave back, where money was only a part of it. Raises CreditsInsufficient."""
    if not booking.missing_credits:
        return booking
    paid = await paying.pay(
        tx,
        tenant_id=tenant_id,
        customer_id=booking.customer_id,
        booking_id=booking.id,
        a_class=a_class,
        seats=booking.seats,
        part=booking.credit_cost,
        again=booking.version,
        actor=BY_PAYMENT,
        now=now,
    )
    (made,) = read_all(await tx.fetch(_SPENT_AGAIN, tenant_id, booking.id, paid.spend_id))
    return made


def _again(booking: Booking) -> telling.Fact:
    """Tell of a seat that is had again: also who was told of it before."""
    fact = telling.of_booking(telling.BOOKED, booking, letter=telling.BOOKED)
    return replace(fact, about=f"{fact.subject}.{booking.version}")


async def _seat_in_class(tx: Transaction, tenant_id: UUID, class_id: UUID, *, count: int, now: datetime) -> ClassSeats:
    await holding.free_expired(tx, tenant_id=tenant_id, class_id=class_id, now=now)
    a_class = await seats.take(tx, tenant_id=tenant_id, class_id=class_id, seats=count, is_held=False)
    if a_class is None:
        raise ClassFull("the seats are gone")
    return a_class


async def _free(tx: Transaction, tenant_id: UUID, booking: Booking, now: datetime) -> list[telling.Fact]:
    """Take a booking back whose money went back, and let whoever waits have the seat. Who was there has been there."""
    if booking.status not in ("held", "booked"):
        return []
    if booking.class_id:
        a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=booking.class_id)
        await queueing.prepare(tx, tenant_id=tenant_id, a_class=a_class, leaving=[booking], freed=booking.seats)
    (gone,) = read_all(await tx.fetch(_FREE, tenant_id, booking.id, now, BY_PAYMENT))
    await paying.let_coupons_go(tx, tenant_id=tenant_id, bookings=[gone], now=now)
    await holding.return_credits(tx, tenant_id=tenant_id, bookings=[gone], actor=BY_PAYMENT, now=now)
    if booking.class_id:
        is_held = booking.status == "held"
        a_class = await seats.release(
            tx, tenant_id=tenant_id, class_id=booking.class_id, seats=booking.seats, is_held=is_held
        )
        await queueing.promote(tx, tenant_id=tenant_id, a_class=a_class, now=now)
    return [telling.of_booking(telling.CANCELLED, gone, letter=telling.CANCELLED)]
