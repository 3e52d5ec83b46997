"""Routes of subscriptions."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Instant, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, PriceId, SubscriptionId
from bursar.money.subscriptions import queries
from bursar.money.subscriptions.queries import Subscription, SubscriptionState

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["subscriptions"])


class SubscriptionFilters(PageFilters):
    customer: CustomerId | None = None
    status: SubscriptionState | None = None
    price: PriceId | None = None
    gateway_ref: Key | None = None
    gateway_account: AccountId | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/subscriptions")
@needs("subscriptions:read", rate="subscription_read")
async def list_subscriptions(caller: CallerOf, filters: Annotated[SubscriptionFilters, Query()]) -> Page[Subscription]:
    """List subscriptions, newest first."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.subscriptions(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
        )


@router.get("/subscriptions/{subscription}")
@needs("subscriptions:read", rate="subscription_read")
async def get_subscription(caller: CallerOf, subscription: Annotated[SubscriptionId, Path()]) -> Subscription:
    """Return one subscription."""
    async with caller.transaction() as tx:
        return await queries.subscription(tx, tenant_id=caller.tenant_id, subscription_id=subscription)
