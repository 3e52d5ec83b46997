"""Ask for the payment of a fee: an order, and the gateway's page that it is paid on."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bursar.apps.booking.fees.models import WORDS, Fee
from bursar.apps.booking.fees.paid import Fees
from bursar.apps.booking.fees.raising import locked, not_open
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money import checkouts
from bursar.money.catalog.selling import add_price, add_product
from bursar.money.desk.orders import place_order
from bursar.money.fulfilment import Registry


class FeeBeingPaid(Conflict):
    """Somebody has paid already, and the gateway's report of it is on its way."""

    code = "booking_fee_being_paid"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fee is paid by. call_id: of the gateway that makes the page."""

    fee: Fee
    checkout_id: UUID
    call_id: UUID


# An order of before it was owed again was paid, or is not asked for any more.
_LATEST = """
select k.id as checkout_id, k.call_id, g.state, s.status, s.payment_status
from booking_fee_order o
join checkout k on k.tenant_id = o.tenant_id and k.order_id = o.order_id
join gateway_call g on g.tenant_id = k.tenant_id and g.id = k.call_id
left join checkout_session s on s.tenant_id = k.tenant_id and s.gateway_account_id = k.gateway_account_id and s.gateway_ref = g.ref
where o.tenant_id = $1 and o.fee_id = $2 and o.created_at >= $3
order by o.order_id desc limit 1
"""
_ADD = "insert into booking_fee_order (tenant_id, order_id, fee_id, created_at) values ($1, $2, $3, $4)"
_PRICE = """
select p.id from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.amount_minor = $2 and p.currency = $3 and p.grants = $4::text::jsonb and p.interval is null and p.is_active
  and p.deleted_at is null and d.is_active and d.deleted_at is null
order by p.id limit 1
"""
_PRODUCT = """
select p.product_id from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.grants = $2::text::jsonb and d.is_active and d.deleted_at is null order by p.id limit 1
"""

_REFUSED: Final = "refused"


async def ask(
    tx: Transaction, *, tenant_id: UUID, fee_id: UUID, wanted: checkouts.Wanted, actor: str, now: datetime
) -> Asked:
    """Start the checkout of a fee, or return the one that is open. wanted: where its customer lands, and at which account he pays.

    Raises FeeNotFound, FeeNotOpen, FeeBeingPaid, and what `checkouts.start` raises.
    """
    fee = await _owed(tx, tenant_id=tenant_id, fee_id=fee_id)
    latest = await tx.fetchrow(_LATEST, tenant_id, fee_id, fee.opened_at)
    if latest and latest["status"] == "complete" and latest["payment_status"] != "failed":
        raise FeeBeingPaid("the fee is being paid", hint="Wait for the payment's report; it takes minutes at most.")
    if latest and latest["state"] != _REFUSED and latest["status"] in (None, "open"):
        return Asked(fee, latest["checkout_id"], latest["call_id"])
    price_id = await _price(tx, tenant_id=tenant_id, fee=fee, actor=actor, now=now)
    whole = replace(wanted, lines=[(ids.show(ids.PRICE, price_id), 1)], customer_id=fee.customer_id)
    started = await checkouts.start(tx, tenant_id=tenant_id, wanted=whole, actor=actor)
    await tx.execute(_ADD, tenant_id, started.order_id, fee_id, max(now, fee.opened_at))
    return Asked(fee, started.checkout_id, started.call_id)


async def order(tx: Transaction, *, tenant_id: UUID, fee_id: UUID, actor: str, now: datetime) -> UUID:
    """Place the order of a fee that is paid otherwise, as with cash at the desk; return it. Raises FeeNotFound, FeeNotOpen."""
    fee = await _owed(tx, tenant_id=tenant_id, fee_id=fee_id)
    price_id = await _price(tx, tenant_id=tenant_id, fee=fee, actor=actor, now=now)
    lines = [(ids.show(ids.PRICE, price_id), 1)]
    placed = await place_order(tx, tenant_id=tenant_id, customer_id=fee.customer_id, lines=lines, actor=actor)
    await tx.execute(_ADD, tenant_id, placed.id, fee_id, max(now, fee.opened_at))
    return placed.id


async def _owed(tx: Transaction, *, tenant_id: UUID, fee_id: UUID) -> Fee:
    fee = await locked(tx, tenant_id=tenant_id, fee_id=fee_id)
    if fee.status != "open":
        raise not_open(fee, hint="There is nothing to pay.")
    return fee


async def _price(tx: Transaction, *, tenant_id: UUID, fee: Fee, actor: str, now: datetime) -> UUID:
    """Return the price of fees of this kind and amount; one is made where there is none."""
    grants = [{"kind": Fees.kind, "of": fee.kind}]
    told = msgspec.json.encode(grants).decode()
    known: UUID | None = await tx.fetchval(_PRICE, tenant_id, fee.amount_minor, fee.currency, told)
    if known:
        return known
    product_id = await tx.fetchval(_PRODUCT, tenant_id, told)
    if product_id is None:
        name, about = WORDS[fee.kind], "What a booking's terms say."
        product_id = await add_product(tx, tenant_id=tenant_id, name=name, description=about, actor=actor)
    return await add_price(
        tx,
        tenant_id=tenant_id,
        product_id=product_id,
        lookup_key=None,
        amount_minor=fee.amount_minor,
        currency=fee.currency,
        interval=None,
        interval_count=1,
        grants=grants,
        gateway_refs=[],
        recovers_shortfall=False,
        check=Registry([Fees()]),
        actor=actor,
        now=now,
    )
