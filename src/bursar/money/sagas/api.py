"""Routes of sagas: what begins them, where they stand, and a person's word that one is settled."""

import asyncio
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import Input, Instant, Key, Page, PageFilters, Positive, Reason, page_of
from bursar.kernel.http.identifiers import SubscriptionId
from bursar.money.purchases.bought import QUANTITY_MAX
from bursar.money.sagas import planning, queries, settling
from bursar.money.sagas.models import State
from bursar.money.sagas.planning import Wanted
from bursar.money.sagas.queries import Saga, SagaId

REFUNDING: Final = "refunds:write"
"""What every saga needs beside its route's own permission: money goes back."""

_LOOK_EVERY_S: Final = 0.05
_Subscription = Annotated[SubscriptionId, Path()]

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["sagas"])


class SagaCompensated(GatewayRefused):
    """A step was refused, and what had been done was undone: nothing is left of it."""

    code = "saga_compensated"
    status = 422


class SagaNeedsHands(GatewayRefused):
    """A step was refused, and what had been done could not be undone."""

    code = "saga_needs_hands"
    status = 422


class _Back(Input):
    refund_minor: Positive | None = Field(
        default=None,
        description="What goes back. Left out, it is reckoned from what was paid and from the time that is left.",
    )
    proration_at: Instant | None = Field(
        default=None,
        description="As of when it is reckoned; now, if left out. Pass the one of a preview to give back what it showed.",
    )

    def wanted(self, caller: Caller) -> Wanted:
        return Wanted(self.refund_minor, self.proration_at or caller.now())


class NewRefundedChange(_Back):
    """What the subscription is to sell from now on, for less than before."""

    price: Annotated[Key, Field(description="A price's id or lookup key.", examples=["silver-monthly"])]
    quantity: Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[1])] = 1


class NewRefundedCancellation(_Back):
    """End it at once, and give back what was paid for the time that is left."""


class NewSettlement(Input):
    note: Annotated[
        Reason, Field(description="What was done by hand.", examples=["refunded 12.50 EUR in the dashboard"])
    ]


class SagaFilters(PageFilters):
    state: State | None = None
    subject: Key | None = None
    kind: Key | None = None
    since: Instant | None = None
    until: Instant | None = None


async def _ended(caller: Caller, name: str) -> Saga | None:
    """Wait until it has come to its end. Raises SagaCompensated, SagaNeedsHands."""
    saga_id = ids.parse(ids.SAGA, name)
    deadline = (
        asyncio.get_running_loop().time() + timedelta(seconds=caller.resources.settings.outcome_wait_s).total_seconds()
    )
    while True:
        async with caller.transaction() as tx:
            state = await queries.state_of(tx, tenant_id=caller.tenant_id, saga_id=saga_id)
        is_moving = state in ("running", "compensating")
        if not is_moving or asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    async with caller.transaction() as tx:
        found = await queries.saga(tx, tenant_id=caller.tenant_id, saga_id=saga_id)
    if found.state == "compensated":
        refused = next(step for step in found.steps if step.state == "refused")
        raise SagaCompensated(
            refused.error or "the gateway refused it",
            hint="Everything is as it was. Change what the gateway objects to, and ask again.",
            context={"saga": name, "step": refused.name, "gateway_code": refused.error_code or ""},
        )
    if found.state == "needs_hands":
        raise SagaNeedsHands(
            "a step was refused, and what had been done could not be undone",
            hint=found.what_to_do or "",
            context={"saga": name},
        )
    return found if found.state == "completed" else None


@router.post("/subscriptions/{subscription}/refunded-changes", status_code=202, responses={201: {"model": Saga}})
@needs("subscriptions:write", rate="subscription_change", outcome=_ended)
async def change_subscription_and_refund(
    caller: CallerOf, subscription: _Subscription, new: NewRefundedChange, response: Response
) -> Saga:
    """Sell less with a subscription from now on, and give the difference for the rest of the period back.

    The subscription is changed without proration; where the refund is then refused, it is changed back. Needs `refunds:write` too.
    201: all of it is done. 202: it is under way; read the saga, or repeat with the same key.
    """
    caller.principal.require(REFUNDING)
    async with caller.transaction() as tx:
        saga_id = await planning.change_and_refund(
            tx,
            tenant_id=caller.tenant_id,
            subscription_id=subscription,
            price=new.price,
            quantity=new.quantity,
            wanted=new.wanted(caller),
            actor=caller.actor,
        )
        return await _begun(tx, caller, saga_id, response)


@router.post("/subscriptions/{subscription}/refunded-cancellations", status_code=202, responses={201: {"model": Saga}})
@needs("subscriptions:write", rate="subscription_change", outcome=_ended)
async def cancel_subscription_and_refund(
    caller: CallerOf, subscription: _Subscription, new: NewRefundedCancellation, response: Response
) -> Saga:
    """End a subscription at once, and give back what was paid for the time that is left.

    It is let end with its period, then refunded, then ended; where the refund is refused, it goes on as before. Needs
    `refunds:write` too. 201 and 202 as for refunded changes.
    """
    caller.principal.require(REFUNDING)
    async with caller.transaction() as tx:
        saga_id = await planning.cancel_and_refund(
            tx,
            tenant_id=caller.tenant_id,
            subscription_id=subscription,
            wanted=new.wanted(caller),
            actor=caller.actor,
        )
        return await _begun(tx, caller, saga_id, response)


@router.get("/sagas")
@needs("refunds:read")
async def list_sagas(caller: CallerOf, filters: Annotated[SagaFilters, Query()]) -> Page[Saga]:
    """List what has several steps at a gateway, newest first. With `state=needs_hands`: what waits for a person."""
    async with caller.transaction() as tx:
        return page_of(await queries.sagas(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/sagas/{saga}")
@needs("refunds:read")
async def get_saga(caller: CallerOf, saga: Annotated[SagaId, Path()]) -> Saga:
    """Return one saga with its steps, and what to do about it."""
    async with caller.transaction() as tx:
        return await queries.saga(tx, tenant_id=caller.tenant_id, saga_id=saga)


@router.post("/sagas/{saga}/settlements", status_code=201)
@needs(REFUNDING)
async def settle_saga(caller: CallerOf, saga: Annotated[SagaId, Path()], new: NewSettlement) -> Saga:
    """Say that what was left of a saga has been done by hand. Nothing is asked of the gateway."""
    async with caller.transaction() as tx:
        await settling.settle(tx, tenant_id=caller.tenant_id, saga_id=saga, note=new.note, actor=caller.actor)
        return await queries.saga(tx, tenant_id=caller.tenant_id, saga_id=saga)


async def _begun(tx: Transaction, caller: Caller, saga_id: UUID, response: Response) -> Saga:
    response.headers["location"] = f"/v1/sagas/{ids.show(ids.SAGA, saga_id)}"
    return await queries.saga(tx, tenant_id=caller.tenant_id, saga_id=saga_id)
