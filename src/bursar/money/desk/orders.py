"""Orders: what a checkout will buy. Their ids travel through the gateway (`client_reference_id`, or metadata `bursar_order`) and back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import FromJson, View
from bursar.kernel.http.identifiers import CustomerId, OrderId, PriceId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.catalog.queries import price_named
from bursar.money.customers import require_customer


class OrderNotFound(NotFound):
    """No order of this tenant has this id."""

    code = "order_not_found"


class OrderLine(BaseModel):
    price: PriceId
    quantity: int = Field(examples=[1])
    asks_minor: int | None = Field(
        default=None,
        description="What is asked for the order, where that is not its prices: a discount, a tax on top, or a deposit.",
    )


class Order(View):
    """What a checkout will buy."""

    id: OrderId
    customer: CustomerId | None
    lines: Annotated[list[OrderLine], FromJson]
    created_at: datetime


_SELECT = "select o.id, o.customer_id as customer, o.lines::text as lines, o.created_at from customer_order o"

ORDERS = Listing(
    select=_SELECT,
    tenant="o.tenant_id",
    key="o.id",
    filters={"customer": "o.customer_id = {}", "since": "o.created_at >= {}", "until": "o.created_at < {}"},
    refers={"customer": "customer"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where o.tenant_id = $1 and o.id = $2"
_PLACE = "insert into customer_order (tenant_id, id, customer_id, lines) values ($1, $2, $3, $4::text::jsonb)"


async def place_order(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID | None,
    lines: Sequence[tuple[str, int]],
    actor: str,
    asks_minor: int | None = None,
) -> Order:
    """Write down what a checkout will buy. lines: price (id or lookup key) and quantity.

    asks_minor: what is asked for all of them, where that is not their prices; kept with the first line. Raises PriceNotFound, CustomerNotFound.
    """
    if customer_id:
        await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    told = [
        {"price": ids.show(ids.PRICE, await price_named(tx, tenant_id=tenant_id, name=name)), "quantity": quantity}
        for name, quantity in lines
    ]
    if asks_minor is not None:
        told[0] |= {"asks_minor": asks_minor}
    order_id = ids.new()
    await tx.execute(_PLACE, tenant_id, order_id, customer_id, msgspec.json.encode(told).decode())
    shown = ids.show(ids.ORDER, order_id)
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="order.placed", subject=shown, changes={"lines": told}
    )
    return await order(tx, tenant_id=tenant_id, order_id=order_id)


async def order(tx: Transaction, *, tenant_id: UUID, order_id: UUID) -> Order:
    """Return one order. Raises OrderNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, order_id)
    if row is None:
        raise OrderNotFound(f"there is no order {ids.show(ids.ORDER, order_id)}")
    return Order.of(row)


async def orders(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Order]:
    """Return orders, newest first. given: values by filter of `ORDERS`."""
    return await part(tx, ORDERS, tenant_id=tenant_id, given=given, page=page, view=Order.of)
