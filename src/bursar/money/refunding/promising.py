"""Promise a refund and ask for it: one guarded statement decides, with a check constraint behind it."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money import calls
from bursar.money.desk.recording import RefundExceedsPayment, record_refund
from bursar.money.gateways.callers import check
from bursar.money.gateways.calls import CreateRefund, RefundReason
from bursar.money.payments.queries import PaymentNotFound

_REASON_MAX: Final = 500
_REASONS: Final = frozenset(RefundReason)


class PaymentNotRefundable(Conflict):
    """The payment did not succeed, or its gateway has not named it yet."""

    code = "payment_not_refundable"


# What is on its way back by refunds that were not asked for here.
ELSEWHERE = """
select coalesce(sum(r.amount_minor), 0)::bigint as minor from refund r where r.status = 'pending' and not r.is_asked"""

# The lock makes refunds of one payment queue up. A payment that gave way to its heir is refunded as the heir.
_PAYMENT = f"""
select p.id, p.gateway_account_id, p.gateway_ref, p.charge_ref, p.purchase_id, p.status, p.currency, a.gateway,
  p.amount_minor - p.refunded_minor - p.promised_minor - elsewhere.minor as left_minor,
  exists (
    select from gateway_object o where o.tenant_id = p.tenant_id and o.gateway_account_id = p.gateway_account_id
      and o.kind in ('invoice', 'session') and o.ref = p.gateway_ref
  ) as is_stand_in
from payment p
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
cross join lateral ({ELSEWHERE} and r.tenant_id = p.tenant_id and r.payment_id = p.id) as elsewhere
where p.tenant_id = $1 and p.id = (select coalesce(superseded_by, id) from payment where tenant_id = $1 and id = $2)
for no key update of p
"""

_PROMISE = f"""
update payment as p
set promised_minor = p.promised_minor + $3, promisable_minor = p.amount_minor - p.refunded_minor - elsewhere.minor
from ({ELSEWHERE} and r.tenant_id = $1 and r.payment_id = $2) as elsewhere
where p.tenant_id = $1 and p.id = $2 and p.status = 'succeeded' and p.superseded_by is null and $3 > 0
  and p.promised_minor + $3 <= p.amount_minor - p.refunded_minor - elsewhere.minor
returning p.promised_minor
"""

_WRITE = """
insert into refund (tenant_id, id, gateway_account_id, purchase_id, payment_id, status, amount_minor, currency, created_at,
  is_asked, asked_by, asked_reason)
values ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, true, $9, $10)
"""

_KNOWN = "select id from refund where tenant_id = $1 and id = $2"


async def ask_refund(
    tx: Transaction,
    *,
    tenant_id: UUID,
    payment_id: UUID,
    amount_minor: int | None,
    reason: str | None,
    actor: str,
    now: datetime,
    refund_id: UUID | None = None,
) -> UUID:
    """Promise money back and write down the call that sends it; return the refund, which is pending.

    amount_minor: None is all that is left. refund_id: a fresh id that makes a repeat harmless.
    Raises PaymentNotFound, PaymentNotRefundable, RefundExceedsPayment, OperationUnsupported.
    """
    if refund_id and await tx.fetchval(_KNOWN, tenant_id, refund_id):
        return refund_id
    # Another statement than the one that locks, so that it sees what those before it in the queue have promised.
    await tx.fetchrow(_PAYMENT, tenant_id, payment_id)
    row = await tx.fetchrow(_PAYMENT, tenant_id, payment_id)
    if row is None:
        raise PaymentNotFound(f"there is no payment {ids.show(ids.PAYMENT, payment_id)}")
    _check(row)
    amount = row["left_minor"] if amount_minor is None else amount_minor
    if amount <= 0 or await tx.fetchval(_PROMISE, tenant_id, row["id"], amount) is None:
        raise _exceeds(row)
    refund_id = refund_id or ids.new()
    place = (row["gateway_account_id"], row["purchase_id"], row["id"])
    await tx.execute(
        _WRITE, tenant_id, refund_id, *place, amount, row["currency"], now, actor, reason and reason[:_REASON_MAX]
    )
    await _ask(tx, tenant_id, row, refund_id=refund_id, amount=amount, reason=reason, actor=actor, now=now)
    changes = {
        "payment": ids.show(ids.PAYMENT, row["id"]),
        "amount_minor": amount,
        "currency": row["currency"],
        "reason": reason,
    }
    shown = ids.show(ids.REFUND, refund_id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="refund.asked", subject=shown, changes=changes)
    return refund_id


async def _ask(
    tx: Transaction,
    tenant_id: UUID,
    payment: Any,
    *,
    refund_id: UUID,
    amount: int,
    reason: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Ask the gateway; money of the desk is handed back by whoever asks, and only written down."""
    shown = ids.show(ids.REFUND, refund_id)
    if payment["gateway"] == "manual":
        await record_refund(
            tx,
            tenant_id=tenant_id,
            payment_id=payment["id"],
            reference=shown,
            amount_minor=amount,
            reason=reason,
            occurred_at=now,
            actor=actor,
            refund=shown,
        )
        return
    call = _call(payment, refund=shown, amount=amount, reason=reason)
    check(payment["gateway"], call)
    await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=payment["gateway_account_id"],
        call=call,
        subject=shown,
        key=f"refund:{shown}",
        actor=actor,
        asker="refunding",
        lane=ids.show(ids.PAYMENT, payment["id"]),
    )


def _call(payment: Any, *, refund: str, amount: int, reason: str | None) -> CreateRefund:
    is_charge = payment["gateway_ref"] == payment["charge_ref"] or payment["is_stand_in"]
    return CreateRefund(
        refund=refund,
        currency=payment["currency"],
        payment=None if is_charge else payment["gateway_ref"],
        charge=payment["charge_ref"] if is_charge else None,
        amount_minor=amount,
        reason=RefundReason(reason) if reason in _REASONS else None,
        reason_text=reason if reason not in _REASONS else None,
    )


def _check(payment: Any) -> None:
    if payment["status"] != "succeeded":
        raise PaymentNotRefundable(
            f"the payment is {payment['status']}", hint="Only a payment that succeeded can be refunded."
        )
    if payment["is_stand_in"] and payment["charge_ref"] is None:
        raise PaymentNotRefundable(
            "the gateway has not named the payment of this invoice yet",
            hint="Wait for its report, or refund it at the gateway; the report of that is merged as ever.",
        )


def _exceeds(payment: Any) -> RefundExceedsPayment:
    left = max(payment["left_minor"], 0)
    return RefundExceedsPayment(
        f"{left} of the payment are left",
        hint="Refund at most what is left.",
        context={"left_minor": left, "currency": payment["currency"]},
    )
