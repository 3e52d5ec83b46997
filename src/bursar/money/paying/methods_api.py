"""Routes of saved ways to pay."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import Currency, Input, Instant, Key, Page, PageFilters, Url, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, SubscriptionId
from bursar.kernel.listing import ASKED
from bursar.money.calls.following import check_not_refused, followed
from bursar.money.paying import method_queries as queries
from bursar.money.paying import saving
from bursar.money.paying.method_queries import (
    PaymentMethod,
    PaymentMethodChange,
    PaymentMethodChangeId,
    PaymentMethodId,
)

SAVING: Final = "payments:write"
"""Who may have ways to pay saved and forgotten, and see the links on which they are entered."""

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["payment methods"])

_Method = Annotated[PaymentMethodId, Path()]


class PaymentMethodChangeRefused(GatewayRefused):
    """The gateway will not do this with the payment method."""

    code = "payment_method_change_refused"
    status = 422


class NewPaymentMethod(Input):
    """For whom a way to pay is to be saved. Without a `gateway_ref` the customer enters it on a page of the gateway's."""

    customer: CustomerId
    return_url: Url = Field(description="Where the customer comes back to.")
    cancel_url: Url | None = None
    gateway_ref: Annotated[Key, Field(examples=["pm_1QXg1o8vcGmoR32Z"])] | None = Field(
        default=None, description="The gateway's id of what the customer has entered elsewhere."
    )
    currency: Currency | None = Field(
        default=None, description="Of the payments to come; without one, that of the customer's last payment."
    )


class NewDefault(Input):
    subscription: SubscriptionId | None = Field(default=None, description="Only this one's invoices.")


class PaymentMethodFilters(PageFilters):
    customer: CustomerId | None = None
    gateway_account: AccountId | None = None
    gateway_ref: Key | None = None
    include_detached: bool = Field(default=False, description="List detached ones too.")

    @property
    def given(self) -> dict[str, Any]:
        asked = {name: value for name, value in super().given.items() if name != "include_detached"}
        return asked if self.include_detached else asked | {"attached": ASKED}


class PaymentMethodChangeFilters(PageFilters):
    customer: CustomerId | None = None
    payment_method: PaymentMethodId | None = None
    kind: saving.Wish | None = None
    since: Instant | None = None
    until: Instant | None = None


async def _done(caller: Caller, name: str) -> PaymentMethodChange | None:
    """Wait for the gateway's answer. Raises PaymentMethodChangeRefused."""
    change_id = ids.parse(ids.PAYMENT_METHOD_CHANGE, name)
    found = await followed(caller, lambda tx: _one(tx, caller, change_id))
    check_not_refused(
        found,
        PaymentMethodChangeRefused,
        hint="Nothing was changed. Another card, or another customer, may work.",
        payment_method_change=name,
    )
    return None if found.status in ("pending", "unknown") else found


@router.post("/payment-methods", status_code=202, responses={201: {"model": PaymentMethodChange}})
@needs(SAVING, rate="checkout", outcome=_done)
async def set_up_payment_method(caller: CallerOf, new: NewPaymentMethod, response: Response) -> PaymentMethodChange:
    """Have a way to pay saved for a customer. `url` leads to where he enters it, or confirms it.

    201: the gateway has answered. 202: it has not yet; read the change, or repeat with the same key. The payment method itself
    appears in the list when the gateway reports it.
    """
    setup = saving.Setup(new.customer, new.return_url, new.cancel_url, new.gateway_ref, new.currency)
    async with caller.transaction() as tx:
        change_id = await saving.set_up(tx, tenant_id=caller.tenant_id, setup=setup, actor=caller.actor)
        return await _asked(tx, caller, change_id, response)


@router.get("/payment-methods")
@needs("payments:read")
async def list_payment_methods(
    caller: CallerOf, filters: Annotated[PaymentMethodFilters, Query()]
) -> Page[PaymentMethod]:
    """List saved ways to pay, newest first; detached ones only if they are asked for."""
    async with caller.transaction() as tx:
        found = await queries.payment_methods(
            tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given, now=caller.now()
        )
    return page_of(found)


@router.get("/payment-methods/{payment_method}")
@needs("payments:read")
async def get_payment_method(caller: CallerOf, payment_method: _Method) -> PaymentMethod:
    """Return one saved way to pay."""
    async with caller.transaction() as tx:
        return await queries.payment_method(tx, tenant_id=caller.tenant_id, method_id=payment_method, now=caller.now())


@router.post(
    "/payment-methods/{payment_method}/detachments", status_code=202, responses={201: {"model": PaymentMethodChange}}
)
@needs(SAVING, rate="checkout", outcome=_done)
async def detach_payment_method(caller: CallerOf, payment_method: _Method, response: Response) -> PaymentMethodChange:
    """Let the gateway forget a saved way to pay. 201 and 202 as for setting one up."""
    async with caller.transaction() as tx:
        change_id = await saving.detach(tx, tenant_id=caller.tenant_id, method_id=payment_method, actor=caller.actor)
        return await _asked(tx, caller, change_id, response)


@router.post(
    "/payment-methods/{payment_method}/defaults", status_code=202, responses={201: {"model": PaymentMethodChange}}
)
@needs(SAVING, rate="checkout", outcome=_done)
async def make_payment_method_default(
    caller: CallerOf, payment_method: _Method, new: NewDefault, response: Response
) -> PaymentMethodChange:
    """Let invoices be paid with it: one subscription's, or all of its customer's that name none. 201 and 202 as for setting one up."""
    async with caller.transaction() as tx:
        change_id = await saving.make_default(
            tx,
            tenant_id=caller.tenant_id,
            method_id=payment_method,
            subscription_id=new.subscription,
            actor=caller.actor,
        )
        return await _asked(tx, caller, change_id, response)


@router.get("/payment-method-changes")
@needs("payments:read")
async def list_payment_method_changes(
    caller: CallerOf, filters: Annotated[PaymentMethodChangeFilters, Query()]
) -> Page[PaymentMethodChange]:
    """List what was asked for of saved ways to pay, newest first, without links."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.payment_method_changes(
                tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given
            )
        )


@router.get("/payment-method-changes/{payment_method_change}")
@needs("payments:read")
async def get_payment_method_change(
    caller: CallerOf, payment_method_change: Annotated[PaymentMethodChangeId, Path()]
) -> PaymentMethodChange:
    """Return one change; its link, while it is open, to whoever may have ways to pay saved."""
    async with caller.transaction() as tx:
        return await _one(tx, caller, payment_method_change)


async def _asked(tx: Transaction, caller: Caller, change_id: UUID, response: Response) -> PaymentMethodChange:
    response.headers["location"] = f"/v1/payment-method-changes/{ids.show(ids.PAYMENT_METHOD_CHANGE, change_id)}"
    return await _one(tx, caller, change_id)


async def _one(tx: Transaction, caller: Caller, change_id: UUID) -> PaymentMethodChange:
    seal = caller.resources.seal if SAVING in caller.principal.permissions else None
    return await queries.payment_method_change(tx, tenant_id=caller.tenant_id, change_id=change_id, seal=seal)
