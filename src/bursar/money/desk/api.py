"""Routes of the desk: orders, unmatched money, payments and refunds by hand."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Currency, Email, Input, Instant, Key, Lines, Page, PageFilters, Positive, Reason, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, OrderId, PaymentId
from bursar.money.desk import assigning, orders, recording, unmatched
from bursar.money.desk.orders import Order
from bursar.money.desk.unmatched import UnmatchedPayment
from bursar.money.gateways.manual import DeskMethod
from bursar.money.intake.queries import event
from bursar.money.intake.schemas import GatewayEvent
from bursar.money.purchases.bought import QUANTITY_MAX

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["desk"])

PriceName = Annotated[Key, Field(description="A price's id or lookup key.", examples=["ten-classes"])]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[1])]
Reference = Annotated[Key, Field(max_length=200, description="Your name of it: repeating it is a repeat.")]


class UnmatchedFilters(PageFilters):
    customer: CustomerId | None = None
    gateway_account: AccountId | None = None
    is_alarming: bool | None = None


class Assignment(Input):
    """What the money was for. A later word replaces an earlier one."""

    price: PriceName
    quantity: Quantity = 1
    customer: CustomerId | None = None


class NewOrderLine(Input):
    price: PriceName
    quantity: Quantity = 1


class NewOrder(Input):
    customer: CustomerId | None = None
    lines: list[NewOrderLine] = Field(min_length=1, max_length=100)


class OrderFilters(PageFilters):
    customer: CustomerId | None = None
    since: Instant | None = None
    until: Instant | None = None


class ManualPayment(Input):
    """Money taken at the desk. `gateway_account` is needed only where there are several manual ones."""

    amount_minor: Positive = Field(examples=[4500])
    currency: Currency
    method: Annotated[DeskMethod, Field(strict=False)] = DeskMethod.cash
    reference: Reference | None = None
    customer: CustomerId | None = None
    email: Email | None = None
    price: PriceName | None = None
    quantity: Quantity = 1
    order: OrderId | None = None
    description: Annotated[Lines, Field(max_length=255)] | None = None
    occurred_at: Instant | None = None
    gateway_account: AccountId | None = None


class ManualRefund(Input):
    """Money handed back at the desk. Without an amount it is all that is left."""

    payment: PaymentId
    amount_minor: Positive | None = None
    reference: Reference | None = None
    reason: Reason | None = None
    occurred_at: Instant | None = None


@router.get("/unmatched-payments")
@needs("payments:read")
async def list_unmatched_payments(
    caller: CallerOf, filters: Annotated[UnmatchedFilters, Query()]
) -> Page[UnmatchedPayment]:
    """List money that names nothing we sell, newest first."""
    async with caller.transaction() as tx:
        return page_of(
            await unmatched.unmatched_payments(
                tx,
                tenant_id=caller.tenant_id,
                page=filters.slice,
                now=caller.now(),
                grace=timedelta(seconds=caller.resources.settings.unmatched_grace_s),
                customer_id=filters.customer,
                account_id=filters.gateway_account,
                is_alarming=filters.is_alarming,
            )
        )


@router.post("/unmatched-payments/{payment}/assignments", status_code=202)
@needs("payments:write")
async def assign_unmatched_payment(
    caller: CallerOf, payment: Annotated[PaymentId, Path()], assignment: Assignment
) -> GatewayEvent:
    """Say what a payment was for. The event that tells it is applied like a gateway's report."""
    async with caller.transaction() as tx:
        event_id = await assigning.assign_payment(
            tx,
            tenant_id=caller.tenant_id,
            payment_id=payment,
            price=assignment.price,
            quantity=assignment.quantity,
            customer_id=assignment.customer,
            actor=caller.actor,
            now=caller.now(),
        )
        return await event(tx, tenant_id=caller.tenant_id, event_id=event_id)


@router.get("/orders")
@needs("orders:read")
async def list_orders(caller: CallerOf, filters: Annotated[OrderFilters, Query()]) -> Page[Order]:
    """List orders, newest first."""
    async with caller.transaction() as tx:
        return page_of(await orders.orders(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/orders", status_code=201)
@needs("orders:write")
async def place_order(caller: CallerOf, new: NewOrder) -> Order:
    """Write down what a checkout will buy. Pass its id as `client_reference_id` or metadata `bursar_order`."""
    async with caller.transaction() as tx:
        return await orders.place_order(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=new.customer,
            lines=[(line.price, line.quantity) for line in new.lines],
            actor=caller.actor,
        )


@router.get("/orders/{order}")
@needs("orders:read")
async def get_order(caller: CallerOf, order: Annotated[OrderId, Path()]) -> Order:
    """Return one order."""
    async with caller.transaction() as tx:
        return await orders.order(tx, tenant_id=caller.tenant_id, order_id=order)


@router.post("/manual-payments", status_code=202)
@needs("payments:write")
async def record_manual_payment(caller: CallerOf, paid: ManualPayment) -> GatewayEvent:
    """Record money taken at the desk. The event that tells it is applied like a gateway's report."""
    async with caller.transaction() as tx:
        event_id = await recording.record_payment(
            tx,
            tenant_id=caller.tenant_id,
            account_id=paid.gateway_account,
            reference=paid.reference or _fresh_reference(),
            amount_minor=paid.amount_minor,
            currency=paid.currency,
            method=paid.method,
            customer_id=paid.customer,
            email=paid.email,
            price=paid.price,
            quantity=paid.quantity,
            order_id=paid.order,
            description=paid.description,
            occurred_at=paid.occurred_at or caller.now(),
            actor=caller.actor,
        )
        return await event(tx, tenant_id=caller.tenant_id, event_id=event_id)


@router.post("/manual-refunds", status_code=202)
@needs("refunds:write")
async def record_manual_refund(caller: CallerOf, refunded: ManualRefund) -> GatewayEvent:
    """Record money handed back at the desk."""
    async with caller.transaction() as tx:
        event_id = await recording.record_refund(
            tx,
            tenant_id=caller.tenant_id,
            payment_id=refunded.payment,
            reference=refunded.reference or _fresh_reference(),
            amount_minor=refunded.amount_minor,
            reason=refunded.reason,
            occurred_at=refunded.occurred_at or caller.now(),
            actor=caller.actor,
        )
        return await event(tx, tenant_id=caller.tenant_id, event_id=event_id)


def _fresh_reference() -> str:
    return f"desk_{ids.encode(ids.new())}"
