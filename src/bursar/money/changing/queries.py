"""Changes of subscriptions as people and programs see them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import PriceId, SubscriptionId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.calls.models import FAILURE
from bursar.money.calls.queries import GatewayCallId
from bursar.money.changing.guarding import Wish

SubscriptionChangeId = Annotated[UUID, PublicId(ids.SUBSCRIPTION_CHANGE)]
SubscriptionChangeStatus = Literal["pending", "done", "refused", "unknown"]


class SubscriptionChangeNotFound(NotFound):
    """No change of a subscription of this tenant has this id."""

    code = "subscription_change_not_found"


class SubscriptionChange(View):
    """What was asked for of a subscription, and what the gateway said."""

    id: SubscriptionChangeId
    subscription: SubscriptionId
    kind: Wish
    status: SubscriptionChangeStatus = Field(
        description="pending: the gateway has not answered yet. done: it has; the subscription follows with its report."
    )
    price: PriceId | None = Field(description="Of a change: what is sold afterwards.")
    quantity: int | None
    proration: str | None = Field(examples=["bill_now"])
    at: Literal["now", "period_end"] | None = Field(description="Of a cancellation.")
    trial_end: datetime | None = Field(description="Of a trial's extension.")
    gateway_call: GatewayCallId
    failure_code: str | None = Field(examples=["card_declined"])
    failure: str | None = Field(description="Why the gateway refused it.")
    created_at: datetime


_STATUS: Final = "case g.state when 'asked' then 'pending' when 'succeeded' then 'done' else g.state end"

_SELECT: Final = f"""select c.id, c.subscription_id as subscription, c.kind, {_STATUS} as status, c.price_id as price, c.quantity,
  c.proration, c.at, c.trial_end, c.call_id as gateway_call,
  {FAILURE}, c.created_at
from subscription_change c
join gateway_call g on g.tenant_id = c.tenant_id and g.id = c.call_id"""

CHANGES = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "subscription": "c.subscription_id = {}",
        "kind": "c.kind = {}",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"subscription": "subscription"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"


async def subscription_change(tx: Transaction, *, tenant_id: UUID, change_id: UUID) -> SubscriptionChange:
    """Return one change. Raises SubscriptionChangeNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, change_id)
    if row is None:
        shown = ids.show(ids.SUBSCRIPTION_CHANGE, change_id)
        raise SubscriptionChangeNotFound(f"there is no change of a subscription {shown}")
    return SubscriptionChange.of(row)


async def subscription_changes(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[SubscriptionChange]:
    """Return changes, newest first. given: values by filter of `CHANGES`."""
    return await part(tx, CHANGES, tenant_id=tenant_id, given=given, page=page, view=SubscriptionChange.of)
