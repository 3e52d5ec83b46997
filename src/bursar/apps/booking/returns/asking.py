"""Ask for the money of a purchase to go back, in a job that runs until it is told of what could be refunded."""

from typing import Any, Final
from uuid import UUID, uuid5

from bursar.kernel import jobs
from bursar.kernel.db import Transaction
from bursar.money.desk.recording import RefundExceedsPayment
from bursar.money.refunding import PaymentNotRefundable, ask_refund

DESK: Final = "manual"


class PaidAtDesk(jobs.GivenUp):
    """It was paid at the desk: no gateway can be asked for it, and a person hands it back."""


_PAYMENTS = """
select p.id, p.amount_minor, a.gateway from payment p
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
where p.tenant_id = $1 and p.purchase_id = $2 and p.status = 'succeeded' and p.superseded_by is null order by p.id
"""


async def ask_back(
    tx: Transaction,
    work: jobs.Work,
    *,
    grant_id: UUID,
    purchase_id: UUID,
    reason: str,
    actor: str,
    amount_minor: int | None = None,
) -> None:
    """Ask for the refund of a purchase's payments, once for each of them. Harmless when repeated.

    grant_id: what the money was to pay, and does not. amount_minor: how much of it, of the payments one after another; None: all.
    Raises: jobs.Retry, while a payment is not told of or cannot be refunded yet; PaidAtDesk, where it was paid there.
    """
    payments = await tx.fetch(_PAYMENTS, work.job.tenant_id, purchase_id)
    if not payments:
        raise jobs.Retry("its payment is not told of yet")
    left = amount_minor
    for payment in payments:
        amount = None if left is None else min(left, payment["amount_minor"])
        if amount == 0:
            break
        await _ask(tx, work, grant_id, payment, amount=amount, reason=reason, actor=actor)
        left = None if left is None or amount is None else left - amount


async def _ask(
    tx: Transaction, work: jobs.Work, grant_id: UUID, payment: Any, *, amount: int | None, reason: str, actor: str
) -> None:
    if payment["gateway"] == DESK:
        raise PaidAtDesk("it was paid at the desk: hand it back, and write that down at POST /v1/manual-refunds")
    try:
        await ask_refund(
            tx,
            tenant_id=work.job.tenant_id,
            payment_id=payment["id"],
            amount_minor=amount,
            reason=reason,
            actor=actor,
            now=work.resources.now(),
            refund_id=uuid5(grant_id, str(payment["id"])),
        )
    except PaymentNotRefundable as error:
        raise jobs.Retry(error.message) from error
    except RefundExceedsPayment:
        return  # It went back otherwise already.
