"""Routes of changes of subscriptions."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import Input, Instant, Key, Page, PageFilters, Reason, page_of
from bursar.kernel.http.identifiers import SubscriptionId
from bursar.money.calls.following import WayOut, check_not_refused, followed
from bursar.money.changing import asking, previewing, queries
from bursar.money.changing.guarding import Wish
from bursar.money.changing.previewing import Preview
from bursar.money.changing.queries import SubscriptionChange, SubscriptionChangeId
from bursar.money.gateways.calls import Proration
from bursar.money.purchases.bought import QUANTITY_MAX

CHANGING: Final = "subscriptions:write"
"""Who may change subscriptions."""

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["subscriptions"])

_Subscription = Annotated[SubscriptionId, Path()]

_DONE: Final[dict[int | str, dict[str, Any]]] = {201: {"model": SubscriptionChange}}
"""The other answer of every route that asks: the gateway has done it already."""


class SubscriptionChangeRefused(GatewayRefused):
    """The gateway will not change the subscription so."""

    code = "subscription_change_refused"
    status = 422


class NewSubscriptionChange(Input):
    """What the subscription is to sell from now on. With `proration_at` of a preview, what was shown is what is billed."""

    price: Annotated[Key, Field(description="A price's id or lookup key.", examples=["gold-monthly"])]
    quantity: Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[1])] = 1
    proration: Annotated[Proration, Field(strict=False)] = Proration.bill_now
    proration_at: Instant | None = None

    @property
    def change(self) -> asking.Change:
        return asking.Change(self.price, self.quantity, self.proration, self.proration_at)


class NewCancellation(Input):
    """now: service ends at once, nothing is given back. period_end: what was paid for is served to its end."""

    at: Literal["now", "period_end"]
    comment: Reason | None = Field(default=None, description="Why; the gateway keeps it.")


class NewTrialExtension(Input):
    trial_end: Instant


class SubscriptionChangeFilters(PageFilters):
    subscription: SubscriptionId | None = None
    kind: Wish | None = None
    since: Instant | None = None
    until: Instant | None = None


async def _done(caller: Caller, name: str) -> SubscriptionChange | None:
    """Wait for the gateway's answer. Raises SubscriptionChangeRefused."""
    change_id = ids.parse(ids.SUBSCRIPTION_CHANGE, name)
    found = await followed(caller, lambda tx: _one(tx, caller, change_id))
    check_not_refused(
        found,
        SubscriptionChangeRefused,
        hint="The subscription is as it was. Change what the gateway objects to, and ask again.",
        subscription_change=name,
    )
    return found if found.status == "done" else None


@router.post("/subscriptions/{subscription}/changes", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def change_subscription(
    caller: CallerOf, subscription: _Subscription, new: NewSubscriptionChange, response: Response
) -> SubscriptionChange:
    """Sell another price, or another quantity, with a subscription. From its next renewal on it grants what the new price grants.

    201: the gateway has done it. 202: it has not answered yet; read the change, or repeat with the same key.
    """
    async with caller.transaction() as tx:
        change_id = await asking.ask_change(
            tx, tenant_id=caller.tenant_id, subscription_id=subscription, change=new.change, actor=caller.actor
        )
        return await _asked(tx, caller, change_id, response)


@router.post("/subscriptions/{subscription}/previews")
@needs(CHANGING, rate="subscription_change", is_read=True)
async def preview_subscription_change(
    caller: CallerOf,
    subscription: _Subscription,
    new: NewSubscriptionChange,
    outside: WayOut,
) -> Preview:
    """Return what a change would cost, as the gateway reckons it now. Nothing is changed."""
    resources = caller.resources
    return await previewing.preview(
        outside,
        resources.db,
        seal=resources.seal,
        is_production=resources.settings.production,
        tenant_id=caller.tenant_id,
        subscription_id=subscription,
        change=new.change,
    )


@router.post("/subscriptions/{subscription}/pauses", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def pause_subscription(caller: CallerOf, subscription: _Subscription, response: Response) -> SubscriptionChange:
    """Stop service and billing until it is resumed. 201 and 202 as for changes."""
    async with caller.transaction() as tx:
        change_id = await asking.pause(tx, tenant_id=caller.tenant_id, subscription_id=subscription, actor=caller.actor)
        return await _asked(tx, caller, change_id, response)


@router.post("/subscriptions/{subscription}/resumptions", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def resume_subscription(caller: CallerOf, subscription: _Subscription, response: Response) -> SubscriptionChange:
    """End a pause. The gateway bills a new period. 201 and 202 as for changes."""
    async with caller.transaction() as tx:
        change_id = await asking.resume(
            tx, tenant_id=caller.tenant_id, subscription_id=subscription, actor=caller.actor
        )
        return await _asked(tx, caller, change_id, response)


@router.post("/subscriptions/{subscription}/cancellations", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def cancel_subscription(
    caller: CallerOf, subscription: _Subscription, new: NewCancellation, response: Response
) -> SubscriptionChange:
    """End a subscription, at once or with its period. 201 and 202 as for changes."""
    async with caller.transaction() as tx:
        change_id = await asking.cancel(
            tx,
            tenant_id=caller.tenant_id,
            subscription_id=subscription,
            is_at_once=new.at == "now",
            comment=new.comment,
            actor=caller.actor,
        )
        return await _asked(tx, caller, change_id, response)


@router.post("/subscriptions/{subscription}/reactivations", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def reactivate_subscription(
    caller: CallerOf, subscription: _Subscription, response: Response
) -> SubscriptionChange:
    """Undo a cancellation at the end of the period, before that end. 201 and 202 as for changes."""
    async with caller.transaction() as tx:
        change_id = await asking.reactivate(
            tx, tenant_id=caller.tenant_id, subscription_id=subscription, actor=caller.actor
        )
        return await _asked(tx, caller, change_id, response)


@router.post("/subscriptions/{subscription}/trial-extensions", status_code=202, responses=_DONE)
@needs(CHANGING, rate="subscription_change", outcome=_done)
async def extend_trial(
    caller: CallerOf, subscription: _Subscription, new: NewTrialExtension, response: Response
) -> SubscriptionChange:
    """Let a trial last longer. Nothing is prorated. 201 and 202 as for changes."""
    async with caller.transaction() as tx:
        change_id = await asking.extend_trial(
            tx,
            tenant_id=caller.tenant_id,
            subscription_id=subscription,
            trial_end=new.trial_end,
            actor=caller.actor,
            now=caller.now(),
        )
        return await _asked(tx, caller, change_id, response)


@router.get("/subscription-changes")
@needs("subscriptions:read", rate="subscription_read")
async def list_subscription_changes(
    caller: CallerOf, filters: Annotated[SubscriptionChangeFilters, Query()]
) -> Page[SubscriptionChange]:
    """List what was asked for of subscriptions, newest first."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.subscription_changes(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
        )


@router.get("/subscription-changes/{subscription_change}")
@needs("subscriptions:read", rate="subscription_read")
async def get_subscription_change(
    caller: CallerOf, subscription_change: Annotated[SubscriptionChangeId, Path()]
) -> SubscriptionChange:
    """Return one change of a subscription."""
    async with caller.transaction() as tx:
        return await _one(tx, caller, subscription_change)


async def _asked(tx: Transaction, caller: Caller, change_id: UUID, response: Response) -> SubscriptionChange:
    response.headers["location"] = f"/v1/subscription-changes/{ids.show(ids.SUBSCRIPTION_CHANGE, change_id)}"
    return await _one(tx, caller, change_id)


async def _one(tx: Transaction, caller: Caller, change_id: UUID) -> SubscriptionChange:
    return await queries.subscription_change(tx, tenant_id=caller.tenant_id, change_id=change_id)
