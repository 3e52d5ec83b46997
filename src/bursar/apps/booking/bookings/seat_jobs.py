"""What is done later about money for seats: look again at what waits, and give back what cannot be seated.

Giving back is a job of its own, because a payment may be told of before its gateway names what could be refunded. The id of the
refund follows from the grant and the payment, so that it is asked for once however often the job runs.
"""

from typing import Any, Final
from uuid import UUID, uuid5

from bursar.apps.booking.bookings.seat import RETURN, SETTLE, Granted, settle
from bursar.apps.booking.bookings.seat_deciding import BY_PAYMENT
from bursar.kernel import jobs
from bursar.kernel.db import Transaction
from bursar.money.desk.recording import RefundExceedsPayment
from bursar.money.fulfilment import GrantStatus
from bursar.money.refunding import PaymentNotRefundable, ask_refund

DESK: Final = "manual"

_GRANT = "select source_id, status from fulfilment_grant where tenant_id = $1 and id = $2"
_RETURNING = """
select purchase_id, reason, returning_minor from seat_payment
where tenant_id = $1 and grant_id = $2 and status = 'returning' for update
"""
_PAYMENTS = """
select p.id, p.amount_minor, a.gateway from payment p
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
where p.tenant_id = $1 and p.purchase_id = $2 and p.status = 'succeeded' and p.superseded_by is null order by p.id
"""


async def settle_again(work: jobs.Work) -> None:
    """Look again at money that waits for a further report, and let it go back when its time is over."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        grant = await tx.fetchrow(_GRANT, tenant_id, grant_id)
        granted = Granted(grant_id, grant["source_id"], GrantStatus(grant["status"]))
        await settle(tx, tenant_id=tenant_id, granted=[granted], now=work.resources.now())


async def return_money(work: jobs.Work) -> None:
    """Ask for the refund of money that could not be seated, once."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        row = await tx.fetchrow(_RETURNING, tenant_id, grant_id)
        if row is None:
            return
        payments = await tx.fetch(_PAYMENTS, tenant_id, row["purchase_id"])
        if not payments:
            raise jobs.Retry("its payment is not told of yet")
        left = row["returning_minor"]
        for payment in payments:
            amount = None if left is None else min(left, payment["amount_minor"])
            if amount == 0:
                break
            await _ask(tx, work, grant_id, payment, amount=amount, reason=row["reason"])
            left = None if left is None or amount is None else left - amount


async def _ask(
    tx: Transaction, work: jobs.Work, grant_id: UUID, payment: Any, *, amount: int | None, reason: str
) -> None:
    if payment["gateway"] == DESK:
        raise jobs.GivenUp("it was paid at the desk: hand it back, and write that down at POST /v1/manual-refunds")
    try:
        await ask_refund(
            tx,
            tenant_id=work.job.tenant_id,
            payment_id=payment["id"],
            amount_minor=amount,
            reason=reason,
            actor=BY_PAYMENT,
            now=work.resources.now(),
            refund_id=uuid5(grant_id, str(payment["id"])),
        )
    except PaymentNotRefundable as error:
        raise jobs.Retry(error.message) from error
    except RefundExceedsPayment:
        return  # It went back otherwise already.


KINDS: Final = (jobs.Kind(SETTLE, settle_again), jobs.Kind(RETURN, return_money))
