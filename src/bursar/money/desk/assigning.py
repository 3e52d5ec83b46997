"""Assign unmatched money: a person says what it was for, and the purchase is understood anew."""

from datetime import datetime
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money.catalog.queries import price_named
from bursar.money.customers import require_customer
from bursar.money.gateways.operator import assignment_event
from bursar.money.intake import file_written
from bursar.money.payments.queries import PaymentNotFound


class PaymentNotUnmatched(Conflict):
    """What the payment bought is known, and nobody assigned it by hand."""

    code = "payment_not_unmatched"


# An assignment may be corrected by another one; what the gateway's reports matched may not be overruled here.
_STANDING = """
select p.gateway_account_id, p.gateway_ref, p.status = 'succeeded' and u.unmatched_reason is not null as is_unmatched,
  exists (select from gateway_object o where o.tenant_id = p.tenant_id and o.gateway_account_id = p.gateway_account_id
    and o.kind = 'assignment' and o.ref = 'assignment:' || p.gateway_ref) as is_assigned
from payment p join purchase u on u.tenant_id = p.tenant_id and u.id = p.purchase_id
where p.tenant_id = $1 and p.id = $2 and p.superseded_by is null
"""

_EARLIER = """
select (r.changes -> 'assignment' -> 'after')::text as assigned
from audit_record r where r.tenant_id = $1 and r.subject = $2 and r.actor <> 'gateway' and r.action = 'payment.assigned'
order by r.id desc limit 1
"""


async def assign_payment(
    tx: Transaction,
    *,
    tenant_id: UUID,
    payment_id: UUID,
    price: str,
    quantity: int,
    customer_id: UUID | None,
    actor: str,
    now: datetime,
) -> UUID:
    """Say what a payment bought; return the event that tells it. A later word replaces an earlier one.

    price: its id or lookup key. Raises PaymentNotFound, PaymentNotUnmatched, PriceNotFound, CustomerNotFound.
    """
    shown = ids.show(ids.PAYMENT, payment_id)
    row = await tx.fetchrow(_STANDING, tenant_id, payment_id)
    if row is None:
        raise PaymentNotFound(f"there is no payment {shown}")
    if not (row["is_unmatched"] or row["is_assigned"]):
        raise PaymentNotUnmatched(f"{shown} is not unmatched", hint="See GET /v1/unmatched-payments.")
    price_id = ids.show(ids.PRICE, await price_named(tx, tenant_id=tenant_id, name=price))
    if customer_id:
        await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    customer = ids.show(ids.CUSTOMER, customer_id) if customer_id else None
    event = assignment_event(
        payment=row["gateway_ref"], price=price_id, quantity=quantity, occurred_at=now, customer=customer
    )
    event_id = await file_written(tx, tenant_id=tenant_id, account_id=row["gateway_account_id"], event=event)
    assigned = {"price": price_id, "quantity": quantity, "customer": customer}
    earlier = await tx.fetchval(_EARLIER, tenant_id, shown)
    changes = assigned | {
        "assignment": {"before": msgspec.json.decode(earlier) if earlier else None, "after": assigned}
    }
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="payment.assigned",
        subject=shown,
        changes=changes,
        event_id=event_id,
    )
    return event_id
