"""What a change would cost, as the gateway reckons it now. Nothing is written."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from bursar.kernel.db import Database
from bursar.kernel.http.identifiers import PriceId
from bursar.kernel.seal import Seal
from bursar.money.calls import Outside, check_account, read_now
from bursar.money.changing.asking import Change, sold_at, target_of
from bursar.money.changing.guarding import guard
from bursar.money.gateways.callers import check
from bursar.money.gateways.calling import OperationUnsupported
from bursar.money.gateways.calls import PreviewSubscriptionChange, Proration


class PreviewLine(BaseModel):
    description: str | None
    amount_minor: int = Field(description="Below zero for what is set off.")
    quantity: int
    is_proration: bool
    period_start: datetime | None
    period_end: datetime | None


class Preview(BaseModel):
    """What a change would cost, if it were asked for with the same `proration_at`."""

    price: PriceId
    quantity: int
    currency: str = Field(examples=["EUR"])
    due_now_minor: int = Field(description="To be paid at once.")
    total_minor: int | None = Field(description="Of the next invoice, where the gateway tells it.")
    tax_minor: int | None
    lines: list[PreviewLine]
    proration_at: datetime | None = Field(description="As of when it was reckoned. Pass it with the change.")


def prorations(gateway: str) -> tuple[Proration, ...]:
    """Return the ways in which a gateway can bill a change within a period."""
    found = []
    for way in Proration:
        with suppress(OperationUnsupported):
            check(gateway, PreviewSubscriptionChange(subscription="", price="", proration=way))
            found.append(way)
    return tuple(found)


async def preview(
    outside: Outside,
    db: Database,
    *,
    seal: Seal,
    is_production: bool,
    tenant_id: UUID,
    subscription_id: UUID,
    change: Change,
) -> Preview:
    """Ask the gateway what a change would cost. No transaction is open while it reckons.

    Raises as `ask_change`, and GatewayDoesNotAnswer, GatewaySaidNo.
    """
    async with db.tenant(tenant_id) as tx:
        target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
        sold = await sold_at(tx, tenant_id=tenant_id, target=target, price=change.price)
        guard(target, "change")
        call = PreviewSubscriptionChange(
            subscription=target.ref,
            price=sold.ref,
            quantity=change.quantity,
            proration=change.proration,
            proration_at=change.proration_at,
        )
        check_account(target.account, call)
    answer = await read_now(
        outside,
        db,
        seal=seal,
        is_production=is_production,
        tenant_id=tenant_id,
        account_id=target.account_id,
        call=call,
    )
    told = answer.preview
    assert told is not None, "a preview's answer has it"
    lines = [
        PreviewLine(
            description=line.description,
            amount_minor=line.amount_minor,
            quantity=line.quantity,
            is_proration=line.is_proration,
            period_start=line.period_start,
            period_end=line.period_end,
        )
        for line in told.lines
    ]
    return Preview(
        price=sold.price_id,
        quantity=change.quantity,
        currency=told.currency,
        due_now_minor=told.due_now_minor,
        total_minor=told.total_minor,
        tax_minor=told.tax_minor,
        lines=lines,
        proration_at=told.proration_at,
    )
