"""Reads of subscriptions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http.identifiers import AccountId, CustomerId, PriceId, SubscriptionId
from bursar.kernel.http.views import View
from bursar.kernel.listing import Listing, Part, Slice, part

SubscriptionState = Literal["incomplete", "trialing", "active", "past_due", "unpaid", "paused", "canceled"]


class SubscriptionNotFound(NotFound):
    """No subscription of this tenant has this id."""

    code = "subscription_not_found"


class Subscription(View):
    """What renews. Periods are half-open: the end is the first instant that is not in it."""

    id: SubscriptionId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: str = Field(examples=["sub_1QXg1o8vcGmoR32Z"])
    price: PriceId | None = Field(description="Null while its price is not in the catalogue.")
    status: SubscriptionState
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    trial_end: datetime | None
    created_at: datetime


_SELECT = """select s.id, s.customer_id as customer, s.gateway_account_id as gateway_account, s.gateway_ref,
  s.price_id as price, s.status, s.current_period_start, s.current_period_end, s.cancel_at_period_end, s.cancel_at,
  s.canceled_at, s.ended_at, s.trial_end, s.created_at
from subscription s"""

SUBSCRIPTIONS = Listing(
    select=_SELECT,
    tenant="s.tenant_id",
    key="s.id",
    filters={
        "customer": "s.customer_id = {}",
        "status": "s.status = {}",
        "price": "s.price_id = {}",
        "gateway_ref": "s.gateway_ref = {}",
        "gateway_account": "s.gateway_account_id = {}",
        "since": "s.created_at >= {}",
        "until": "s.created_at < {}",
    },
    refers={"customer": "customer", "price": "price", "gateway_account": "gateway_account"},
    stamped_by="gateway",
)

_ONE = f"{_SELECT} where s.tenant_id = $1 and s.id = $2"


async def subscriptions(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[Subscription]:
    """Return subscriptions, newest first. given: values by filter of `SUBSCRIPTIONS`."""
    return await part(tx, SUBSCRIPTIONS, tenant_id=tenant_id, given=given, page=page, view=Subscription.of)


async def subscription(tx: Transaction, *, tenant_id: UUID, subscription_id: UUID) -> Subscription:
    """Return one subscription. Raises SubscriptionNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, subscription_id)
    if row is None:
        raise SubscriptionNotFound(f"there is no subscription {ids.show(ids.SUBSCRIPTION, subscription_id)}")
    return Subscription.of(row)
