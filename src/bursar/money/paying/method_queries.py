"""Saved ways to pay, and what was asked for of them, as people and programs see them."""

from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import AccountId, CustomerId, SubscriptionId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.seal import Seal
from bursar.money import calls
from bursar.money.calls.models import FAILURE
from bursar.money.calls.queries import GatewayCallId
from bursar.money.paying.saving import Wish
from bursar.money.paying.usable import PaymentMethodNotFound

PaymentMethodId = Annotated[UUID, PublicId(ids.PAYMENT_METHOD)]
PaymentMethodChangeId = Annotated[UUID, PublicId(ids.PAYMENT_METHOD_CHANGE)]
MethodStatus = Literal["active", "expired", "detached"]

SOON: Final = timedelta(days=30)
"""How long before a card's end its customer is to be warned."""


class PaymentMethodChangeNotFound(NotFound):
    """Nothing of this id was asked for of a payment method of this tenant."""

    code = "payment_method_change_not_found"


class PaymentMethod(View):
    """A saved way to pay. Of a card only what a screen shows; the gateway keeps the rest."""

    id: PaymentMethodId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: str = Field(examples=["pm_1QXg1o8vcGmoR32Z"], description="The gateway's own id of it.")
    method: str = Field(examples=["card"])
    brand: str | None = Field(examples=["visa"])
    last4: str | None = Field(examples=["4242"])
    exp_month: int | None = Field(examples=[12])
    exp_year: int | None = Field(examples=[2030])
    status: MethodStatus = Field(description="expired: its month is over. detached: the gateway has forgotten it.")
    is_default: bool = Field(
        description="The customer's invoices are paid with it, but where a subscription names another."
    )
    default_of_subscriptions: list[SubscriptionId] = Field(description="Whose own invoices are paid with it.")
    expires_soon: bool = Field(description="It is good for 30 days or less.")
    created_at: datetime


class PaymentMethodChange(View):
    """What was asked for of a saved way to pay: that one is saved, forgotten, or used by default."""

    id: PaymentMethodChangeId
    kind: Wish
    status: Literal["pending", "open", "done", "expired", "refused", "unknown"] = Field(
        description="pending: the gateway has not answered yet. open: the customer has something to do at `url`. "
        "done: the gateway has done it; the payment method follows with its report."
    )
    customer: CustomerId
    payment_method: PaymentMethodId | None = Field(description="Null while it is to be saved.")
    subscription: SubscriptionId | None = Field(description="Of a default that is only this one's.")
    url: str | None = Field(
        description="Where the customer enters or confirms the way to pay, while that is open.",
        examples=["https://checkout.stripe.com/c/pay/cs_test_a1b2"],
    )
    gateway_call: GatewayCallId
    failure_code: str | None = Field(examples=["card_declined"])
    failure: str | None = Field(description="Why the gateway refused it.")
    created_at: datetime


_METHOD: Final = """select m.id, m.customer_id as customer, m.gateway_account_id as gateway_account, m.gateway_ref, m.method, m.brand, m.last4,
  m.exp_month, m.exp_year, m.is_detached, not m.is_detached and coalesce(c.default_method_ref = m.gateway_ref, false) as is_default,
  case when m.is_detached then '{}' else array(
    select s.id from subscription s
    where s.tenant_id = m.tenant_id and s.customer_id = m.customer_id and s.gateway_account_id = m.gateway_account_id
      and s.default_method_ref = m.gateway_ref and s.status <> 'canceled'
    order by s.id limit 100) end as default_of_subscriptions, m.created_at
from payment_method m
left join customer c on c.tenant_id = m.tenant_id and c.id = m.customer_id and c.gateway_account_id = m.gateway_account_id"""

METHODS = Listing(
    select=_METHOD,
    tenant="m.tenant_id",
    key="m.id",
    filters={
        "customer": "m.customer_id = {}",
        "gateway_account": "m.gateway_account_id = {}",
        "gateway_ref": "m.gateway_ref = {}",
        "attached": "not m.is_detached",
    },
    refers={"customer": "customer", "gateway_account": "gateway_account"},
)

_ONE_METHOD = f"{_METHOD} where m.tenant_id = $1 and m.id = $2"

# A page that was made waits for its customer until the gateway reports its end; a setup that has to be confirmed, until it is saved.
_STATUS: Final = """case g.state when 'asked' then 'pending' when 'refused' then 'refused' when 'unknown' then 'unknown' else
    case when c.kind <> 'setup' or g.url is null then 'done'
      when c.gateway_ref is not null then case when exists (
        select from payment_method m where m.tenant_id = c.tenant_id and m.gateway_account_id = c.gateway_account_id
          and m.gateway_ref = c.gateway_ref and not m.is_detached) then 'done' else 'open' end
      else case coalesce(s.status, 'open') when 'complete' then 'done' else coalesce(s.status, 'open') end end end"""

_CHANGE: Final = f"""select c.id, c.kind, {_STATUS} as status, c.customer_id as customer, c.payment_method_id as payment_method,
  c.subscription_id as subscription, c.call_id as gateway_call, g.url as sealed_url, {FAILURE}, c.created_at
from payment_method_change c
join gateway_call g on g.tenant_id = c.tenant_id and g.id = c.call_id
left join checkout_session s
  on s.tenant_id = c.tenant_id and s.gateway_account_id = c.gateway_account_id and s.gateway_ref = g.ref"""

METHOD_CHANGES = Listing(
    select=_CHANGE,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "customer": "c.customer_id = {}",
        "payment_method": "c.payment_method_id = {}",
        "kind": "c.kind = {}",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"customer": "customer", "payment_method": "payment_method"},
    stamped_by="us",
)

_ONE_CHANGE = f"{_CHANGE} where c.tenant_id = $1 and c.id = $2"


async def payment_method(tx: Transaction, *, tenant_id: UUID, method_id: UUID, now: datetime) -> PaymentMethod:
    """Return one saved way to pay. Raises PaymentMethodNotFound."""
    row = await tx.fetchrow(_ONE_METHOD, tenant_id, method_id)
    if row is None:
        raise PaymentMethodNotFound(
            f"there is no payment method {ids.show(ids.PAYMENT_METHOD, method_id)}",
            hint="Look them up: GET /v1/payment-methods?customer=…",
        )
    return _method(row, now)


async def payment_methods(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any], now: datetime
) -> Part[PaymentMethod]:
    """Return saved ways to pay, newest first. given: values by filter of `METHODS`."""
    return await part(tx, METHODS, tenant_id=tenant_id, given=given, page=page, view=lambda row: _method(row, now))


async def payment_method_change(
    tx: Transaction, *, tenant_id: UUID, change_id: UUID, seal: Seal | None
) -> PaymentMethodChange:
    """Return one change; with a seal also its link, while it is open. Raises PaymentMethodChangeNotFound."""
    row = await tx.fetchrow(_ONE_CHANGE, tenant_id, change_id)
    if row is None:
        shown = ids.show(ids.PAYMENT_METHOD_CHANGE, change_id)
        raise PaymentMethodChangeNotFound(f"there is no change of a payment method {shown}")
    return _change(row, seal)


async def payment_method_changes(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[PaymentMethodChange]:
    """Return changes, newest first, without their links. given: values by filter of `METHOD_CHANGES`."""
    return await part(tx, METHOD_CHANGES, tenant_id=tenant_id, given=given, page=page, view=_change)


def good_until(exp_year: int, exp_month: int) -> datetime:
    """Return the end of a card's last month."""
    return datetime(exp_year, exp_month, monthrange(exp_year, exp_month)[1], tzinfo=UTC) + timedelta(days=1)


def _method(row: Any, now: datetime) -> PaymentMethod:
    told = dict(row)
    is_detached = told.pop("is_detached")
    year, month = told["exp_year"], told["exp_month"]
    left = good_until(year, month) - now if year and month else None
    is_over = left is not None and left <= timedelta(0)
    told["status"] = "detached" if is_detached else "expired" if is_over else "active"
    told["expires_soon"] = told["status"] == "active" and left is not None and left <= SOON
    return PaymentMethod.model_validate(told)


def _change(row: Any, seal: Seal | None = None) -> PaymentMethodChange:
    told = dict(row)
    sealed = told.pop("sealed_url")
    told["url"] = calls.open_link(seal, sealed if told["status"] == "open" else None, call_id=told["gateway_call"])
    return PaymentMethodChange.model_validate(told)
