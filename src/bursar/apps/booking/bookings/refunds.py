"""Money back for bookings that were paid with money: promised with the cancellation, asked for by a job of its own.

Cash is not asked for: it is put on the list of what is to be handed back (`handing_back`), because nobody has handed it back yet.

A job, because whoever applies a payment holds the payment and then wants the class, and who cancels holds the class: each would
wait for the other. The refund's id is made with the promise, so that it is asked for once however often the job runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.bookings import rows
from bursar.apps.booking.bookings.models import Booking
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction, attempt
from bursar.money import refunding
from bursar.money.desk.recording import RefundExceedsPayment

GIVE_BACK_MONEY: Final = "bookings.give_back_money"
POLICY: Final = "policy:bookings"

# What seated it, by whichever way it was paid, less what has gone back or is on its way. Money that seated nothing goes back by
# itself (`seat`).
_PAID = f"""
select p.id as payment_id, p.amount_minor - p.refunded_minor - p.promised_minor - elsewhere.minor as left_minor, p.amount_minor, p.currency,
  (select a.gateway = 'manual' from gateway_account a where a.tenant_id = p.tenant_id and a.id = p.gateway_account_id) as is_cash
from seat_payment s
join payment p on p.tenant_id = s.tenant_id and p.purchase_id = s.purchase_id and p.status = 'succeeded' and p.superseded_by is null
cross join lateral ({refunding.ELSEWHERE} and r.tenant_id = p.tenant_id and r.payment_id = p.id) as elsewhere
where s.tenant_id = $1 and s.booking_id = $2 and s.status = 'seated'
order by p.id limit 1
"""


_HAND_BACK = """
update seat_payment set status = 'returning', reason = $4, returning_minor = $3, changed_at = clock_timestamp()
where tenant_id = $1 and booking_id = $2 and status = 'seated'
"""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment for a booking. minor: what of it is still here. gone_minor: what is not. is_cash: taken at the desk."""

    payment_id: UUID
    minor: int
    gone_minor: int
    currency: str
    is_cash: bool


def share(minor: int, percent: int) -> int:
    """Return so many percent of an amount, rounded down to a whole minor unit."""
    return minor * percent // 100


async def paid_of(tx: Transaction, *, tenant_id: UUID, booking: Booking) -> Paid | None:
    """Return what is left of what a booking was paid with; None where no payment made it sure."""
    row: Any = await tx.fetchrow(_PAID, tenant_id, booking.id)
    if row is None:
        return None
    left = max(row["left_minor"], 0)
    return Paid(row["payment_id"], left, row["amount_minor"] - left, row["currency"], row["is_cash"])


async def promise_all(tx: Transaction, *, tenant_id: UUID, bookings: Sequence[Booking], percent: int) -> None:
    """Have money go back for those of these bookings that were paid with money."""
    promised = [
        jobs.NewJob(
            GIVE_BACK_MONEY,
            key=ids.show(ids.BOOKING, each.id),
            request=msgspec.json.encode({"refund": ids.show(ids.REFUND, ids.new()), "percent": percent}),
        )
        for each in bookings
        if each.order_id
    ]
    if promised:
        await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=promised)


async def give_back_money(work: jobs.Work) -> None:
    """Ask for the refund of a cancelled booking: so much of what is still here. What was refunded by hand is not refunded again."""
    tenant_id, booking_id = work.job.tenant_id, ids.parse(ids.BOOKING, work.job.key)
    asked = msgspec.json.decode(work.job.request)
    async with work.finish() as tx:
        booking = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
        paid = await paid_of(tx, tenant_id=tenant_id, booking=booking)
        if paid is None:
            return  # It was given up before it was paid; what comes later goes back by itself.
        amount = share(paid.minor, asked["percent"])
        if amount and paid.is_cash:
            # The list takes off what has gone back of the payment, also what had before.
            due = paid.gone_minor + amount
            await tx.execute(_HAND_BACK, tenant_id, booking_id, due, f"booking {booking.number} was cancelled")
        elif amount:
            await _ask(
                tx,
                tenant_id=tenant_id,
                booking=booking,
                paid=paid,
                amount=amount,
                asked=asked,
                now=work.resources.now(),
            )


async def _ask(
    tx: Transaction, *, tenant_id: UUID, booking: Booking, paid: Paid, amount: int, asked: Any, now: datetime
) -> None:
    try:
        async with attempt(tx):
            await refunding.ask_refund(
                tx,
                tenant_id=tenant_id,
                payment_id=paid.payment_id,
                amount_minor=amount,
                reason=f"booking {booking.number} cancelled",
                actor=POLICY,
                now=now,
                refund_id=ids.parse(ids.REFUND, asked["refund"]),
            )
    except RefundExceedsPayment as refusal:
        raise jobs.Retry("some of it went back meanwhile, by other hands") from refusal
