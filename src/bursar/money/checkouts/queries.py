"""Checkouts as people and programs see them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import AccountId, CustomerId, OrderId
from bursar.kernel.identity.tokens import Token
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.seal import Seal
from bursar.money import calls
from bursar.money.calls.models import FAILURE

CheckoutId = Annotated[UUID, PublicId(ids.CHECKOUT)]
CheckoutStatus = Literal["pending", "open", "complete", "expired", "refused"]

_OPEN: Final = ("pending", "open")


class CheckoutNotFound(NotFound):
    """No checkout of this tenant has this id."""

    code = "checkout_not_found"


class Checkout(View):
    """A hosted page on which a customer pays for an order."""

    id: CheckoutId
    gateway_account: AccountId
    mode: Literal["payment", "subscription", "setup"]
    status: CheckoutStatus = Field(
        description="pending: the gateway has not answered yet. refused: it will not make the page; see failure."
    )
    url: str | None = Field(
        description="Where to send the customer, while the page is open.",
        examples=["https://checkout.stripe.com/c/pay/cs_test_a1b2"],
    )
    order: OrderId
    customer: CustomerId | None
    gateway_ref: str | None = Field(examples=["cs_test_a1b2"], description="The gateway's id of it.")
    payment_status: Literal["unpaid", "failed", "no_payment_required", "paid"] | None
    amount_minor: int | None
    currency: str | None
    failure_code: str | None
    failure: str | None = Field(description="Why the gateway refused it.")
    expires_at: datetime | None
    created_at: datetime


_STATUS: Final = (
    """case g.state when 'refused' then 'refused' when 'succeeded' then coalesce(s.status, 'open') else 'pending' end"""
)

_SELECT: Final = f"""select c.id, c.gateway_account_id as gateway_account, c.mode, {_STATUS} as status, g.url as sealed_url, g.id as call_id,
  c.order_id as order, c.customer_id as customer, g.ref as gateway_ref, s.payment_status, s.amount_minor, s.currency,
  {FAILURE},
  coalesce(s.expires_at, c.expires_at) as expires_at, c.created_at
from checkout c
join gateway_call g on g.tenant_id = c.tenant_id and g.id = c.call_id
left join checkout_session s
  on s.tenant_id = c.tenant_id and s.gateway_account_id = c.gateway_account_id and s.gateway_ref = g.ref"""

CHECKOUTS = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "customer": "c.customer_id = {}",
        "order": "c.order_id = {}",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"customer": "customer", "order": "customer_order"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"
_LINKED = "select call_id from checkout where tenant_id = $1 and id = $2 and link_sha256 = $3"
_CALL = "select call_id from checkout where tenant_id = $1 and id = $2"


async def checkout(tx: Transaction, *, tenant_id: UUID, checkout_id: UUID, seal: Seal | None) -> Checkout:
    """Return one checkout; with a seal also its link, while the page is open. Raises CheckoutNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, checkout_id)
    if row is None:
        raise _unknown(checkout_id)
    return _view(row, seal)


async def started(tx: Transaction, token: Token) -> UUID | None:
    """Return the gateway call of the checkout that a link opens; None where there is no such checkout."""
    found: UUID | None = await tx.fetchval(_LINKED, token.tenant_id, token.id, token.sha256)
    return found


async def call_of(tx: Transaction, *, tenant_id: UUID, checkout_id: UUID) -> UUID:
    """Return the gateway call that makes a checkout. Raises CheckoutNotFound."""
    found: UUID | None = await tx.fetchval(_CALL, tenant_id, checkout_id)
    if found is None:
        raise _unknown(checkout_id)
    return found


async def checkouts(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Checkout]:
    """Return checkouts, newest first, without their links. given: values by filter of `CHECKOUTS`."""
    return await part(tx, CHECKOUTS, tenant_id=tenant_id, given=given, page=page, view=_view)


def _view(row: Any, seal: Seal | None = None) -> Checkout:
    told = dict(row)
    sealed, call_id = told.pop("sealed_url"), told.pop("call_id")
    is_shown = told["status"] in _OPEN
    told["url"] = calls.open_link(seal, sealed, call_id=call_id) if is_shown else None
    return Checkout.model_validate(told)


def _unknown(checkout_id: UUID) -> CheckoutNotFound:
    return CheckoutNotFound(f"there is no checkout {ids.show(ids.CHECKOUT, checkout_id)}")
