"""Record money taken and handed back at the desk, as events of the tenant's `manual` gateway account."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid
from bursar.money.catalog.queries import price_named
from bursar.money.customers import require_customer
from bursar.money.desk.orders import order as find_order
from bursar.money.gateways import own_events
from bursar.money.gateways.manual import REFUND_RECORDED, DeskMethod, payment_event, refund_event
from bursar.money.intake import file_written
from bursar.money.intake.accounts import GatewayAccountNotFound
from bursar.money.payments.queries import PaymentNotFound

GATEWAY: Final = "manual"


class ManualAccountMissing(Conflict):
    """The tenant has no account for money at the desk."""

    code = "manual_account_missing"


class ManualAccountAmbiguous(Invalid):
    """The tenant has several desks, and the request names none."""

    code = "manual_account_ambiguous"


class ManualReferenceReused(Conflict):
    """The reference names an earlier record that says something else."""

    code = "manual_reference_reused"


class PaymentNotManual(Conflict):
    """The payment was not taken at the desk; its gateway refunds it."""

    code = "payment_not_manual"


class RefundExceedsPayment(Conflict):
    """The refund is larger than what is left of the payment."""

    code = "refund_exceeds_payment"


_DESKS = "select id from gateway_account where tenant_id = $1 and gateway = 'manual' and is_active order by id"

_FILED = """
select b.body from gateway_event e
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where e.tenant_id = $1 and e.gateway_account_id = $2 and e.gateway_event_id = $3
"""

# The lock makes refunds of one payment queue up, so that each sees what the others promised.
_PAYMENT = """
select p.gateway_account_id, p.gateway_ref, p.status, p.amount_minor, p.refunded_minor, p.currency, a.gateway
from payment p join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
where p.tenant_id = $1 and p.id = $2 for update of p
"""

_PROMISED = """
select coalesce(sum((convert_from(b.body, 'UTF8')::jsonb #>> '{data,amount_minor}')::bigint), 0)::bigint
from gateway_event_queue q
join gateway_event e on e.tenant_id = q.tenant_id and e.id = q.event_id
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where q.tenant_id = $1 and q.gateway_account_id = $2 and e.type = $3
  and convert_from(b.body, 'UTF8')::jsonb #>> '{data,payment}' = $4
  and not exists (select from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id)
"""


async def record_payment(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID | None,
    reference: str,
    amount_minor: int,
    currency: str,
    method: DeskMethod,
    customer_id: UUID | None,
    email: str | None,
    price: str | None,
    quantity: int,
    order_id: UUID | None,
    description: str | None,
    occurred_at: datetime,
    actor: str,
) -> UUID:
    """Record money taken at the desk; return the event. The same reference is the same payment.

    price: id or lookup key. Raises ManualAccountMissing, ManualAccountAmbiguous, GatewayAccountNotFound, PriceNotFound,
    CustomerNotFound, OrderNotFound, ManualReferenceReused.
    """
    desk = await _desk(tx, tenant_id=tenant_id, account_id=account_id)
    if customer_id:
        await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    if order_id:
        await find_order(tx, tenant_id=tenant_id, order_id=order_id)
    priced = ids.show(ids.PRICE, await price_named(tx, tenant_id=tenant_id, name=price)) if price else None
    event = payment_event(
        ref=reference,
        amount_minor=amount_minor,
        currency=currency,
        method=method,
        occurred_at=occurred_at,
        customer=ids.show(ids.CUSTOMER, customer_id) if customer_id else None,
        email=email,
        price=priced,
        quantity=quantity,
        order=ids.show(ids.ORDER, order_id) if order_id else None,
        description=description,
    )
    changes = {"reference": reference, "amount_minor": amount_minor, "currency": currency, "method": method.value}
    return await _file(
        tx,
        tenant_id=tenant_id,
        account_id=desk,
        event=event,
        action="manual_payment.recorded",
        changes=changes,
        actor=actor,
    )


async def record_refund(
    tx: Transaction,
    *,
    tenant_id: UUID,
    payment_id: UUID,
    reference: str,
    amount_minor: int | None,
    reason: str | None,
    occurred_at: datetime,
    actor: str,
    refund: str | None = None,
) -> UUID:
    """Record money handed back; return the event. The same reference is the same refund.

    amount_minor: None is all that is left. refund: our id of it, where it was promised before. Raises PaymentNotFound, PaymentNotManual, RefundExceedsPayment,
    ManualReferenceReused.
    """
    row = await tx.fetchrow(_PAYMENT, tenant_id, payment_id)
    if row is None:
        raise PaymentNotFound(f"there is no payment {ids.show(ids.PAYMENT, payment_id)}")
    if row["gateway"] != GATEWAY:
        raise PaymentNotManual("this payment was not taken at the desk", hint="Refund it at its gateway.")
    desk, name = row["gateway_account_id"], f"refund:{reference}"
    earlier = await tx.fetchval(_FILED, tenant_id, desk, name)
    if earlier:
        amount = amount_minor or int(_told(bytes(earlier))["amount_minor"])
    else:
        promised = await tx.fetchval(_PROMISED, tenant_id, desk, REFUND_RECORDED, row["gateway_ref"])
        amount = _within(row, promised=promised, amount_minor=amount_minor)
    event = refund_event(
        ref=reference,
        payment=row["gateway_ref"],
        amount_minor=amount,
        currency=row["currency"],
        occurred_at=occurred_at,
        reason=reason,
        refund=refund,
    )
    shown = ids.show(ids.PAYMENT, payment_id)
    changes = {"reference": reference, "payment": shown, "amount_minor": amount, "reason": reason}
    return await _file(
        tx,
        tenant_id=tenant_id,
        account_id=desk,
        event=event,
        action="manual_refund.recorded",
        changes=changes,
        actor=actor,
    )


def _within(payment: Any, *, promised: int, amount_minor: int | None) -> int:
    """Return what may be handed back. Raises RefundExceedsPayment."""
    left = payment["amount_minor"] - payment["refunded_minor"] - promised if payment["status"] == "succeeded" else 0
    amount = left if amount_minor is None else amount_minor
    if 0 < amount <= left:
        return int(amount)
    raise RefundExceedsPayment(
        f"{max(left, 0)} of the payment are left",
        hint="Refund at most what is left.",
        context={"left_minor": max(left, 0), "currency": payment["currency"]},
    )


async def _desk(tx: Transaction, *, tenant_id: UUID, account_id: UUID | None) -> UUID:
    desks = [UUID(int=row["id"].int) for row in await tx.fetch(_DESKS, tenant_id)]
    if account_id is None:
        if not desks:
            raise ManualAccountMissing(
                "there is no account for money at the desk",
                hint='Add one: POST /v1/gateway-accounts {"gateway": "manual"}.',
            )
        if len(desks) > 1:
            raise ManualAccountAmbiguous("there are several desks", hint="Pass gateway_account.")
        return desks[0]
    if account_id not in desks:
        shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
        raise GatewayAccountNotFound(f"there is no active manual account {shown}")
    return account_id


async def _file(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    event: own_events.OwnEvent,
    action: str,
    changes: dict[str, Any],
    actor: str,
) -> UUID:
    """File an event, or find the one that was filed under its reference and says the same."""
    is_repeat = await tx.fetchval(_FILED, tenant_id, account_id, event.event_id) is not None
    event_id = await file_written(tx, tenant_id=tenant_id, account_id=account_id, event=event)
    stored = await tx.fetchval(_FILED, tenant_id, account_id, event.event_id)
    # Of a record whose body is past its retention nobody can say that it was the same.
    if stored is None or _told(bytes(stored)) != _told(event.body):
        raise ManualReferenceReused(
            "this reference was used for another record",
            hint="Give every payment and refund a reference of its own.",
            context={"event": ids.show(ids.EVENT, event_id)},
        )
    if not is_repeat:
        subject = ids.show(ids.EVENT, event_id)
        await audit.record(
            tx, tenant_id=tenant_id, actor=actor, action=action, subject=subject, changes=changes, event_id=event_id
        )
    return event_id


def _told(body: bytes) -> Any:
    """What a record says, whenever it was written down."""
    return msgspec.json.decode(body).get(own_events.OBJECT)
