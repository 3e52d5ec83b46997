"""Routes of payments that we ask for. `money/payments/api.py` lists them with all others."""

from typing import Annotated, Final, Self
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import (
    Currency,
    Input,
    Instant,
    Key,
    Page,
    PageFilters,
    Positive,
    PublicId,
    Reason,
    Url,
    page_of,
)
from bursar.kernel.http.identifiers import CustomerId, PaymentId
from bursar.money.calls.following import check_not_refused, followed, outcome_of
from bursar.money.paying import asking, queries, waiting
from bursar.money.paying.queries import PaymentChange, PaymentChangeId
from bursar.money.paying.waiting import Wish
from bursar.money.payments import queries as payments
from bursar.money.payments.schemas import Payment
from bursar.money.purchases.bought import QUANTITY_MAX

PAYING: Final = "payments:write"
"""Who may ask for payments, and see the links on which they are confirmed."""

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["payments"])

_Payment = Annotated[PaymentId, Path()]


class PaymentChangeRefused(GatewayRefused):
    """The gateway will not do this with the payment."""

    code = "payment_change_refused"
    status = 422


class NewPayment(Input):
    """Money to take with a saved way to pay, while the customer is not there. Either a price, or a sum with its currency, which sells nothing."""

    customer: CustomerId
    payment_method: Annotated[UUID, PublicId(ids.PAYMENT_METHOD)] | None = Field(
        default=None, description="Without one it is the customer's default."
    )
    price: Annotated[Key, Field(description="A price's id or lookup key.", examples=["ten-classes"])] | None = None
    quantity: Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[1])] = 1
    amount_minor: Positive | None = None
    currency: Currency | None = None
    description: Reason | None = Field(default=None, description="The gateway keeps it.")
    return_url: Url | None = Field(
        default=None,
        description="Where the customer comes back to when his bank had to ask him. With it he is sent a link to confirm, once.",
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        has_sum = self.amount_minor is not None and self.currency is not None
        has_part = self.amount_minor is not None or self.currency is not None
        if (self.price is None) != has_sum or (self.price is not None and has_part):
            raise PydanticCustomError("price_or_amount", "Pass a price, or an amount_minor with its currency")
        if self.price is None and self.quantity != 1:
            raise PydanticCustomError("quantity_of_amount", "A quantity is of a price; pass the whole amount_minor")
        return self


class NewConfirmation(Input):
    return_url: Url = Field(description="Where the customer comes back to.")


class PaymentChangeFilters(PageFilters):
    payment: PaymentId | None = None
    kind: Wish | None = None
    since: Instant | None = None
    until: Instant | None = None


async def _taken(caller: Caller, name: str) -> Payment | None:
    """Wait for the gateway's answer. A decline is an answer: the payment failed, and says why."""
    payment_id = ids.parse(ids.PAYMENT, name)
    async with caller.transaction() as tx:
        call_id = await payments.call_of_asked(tx, tenant_id=caller.tenant_id, payment_id=payment_id)
    if await outcome_of(caller, call_id) in ("asked", "unknown"):
        return None
    async with caller.transaction() as tx:
        return await payments.payment(tx, tenant_id=caller.tenant_id, payment_id=payment_id)


async def _done(caller: Caller, name: str) -> PaymentChange | None:
    """Wait for the gateway's answer. Raises PaymentChangeRefused."""
    change_id = ids.parse(ids.PAYMENT_CHANGE, name)
    found = await followed(caller, lambda tx: _one(tx, caller, change_id))
    check_not_refused(
        found,
        PaymentChangeRefused,
        hint="See how the payment stands: GET /v1/payments/{payment}. Another way to pay may work.",
        payment_change=name,
    )
    return found if found.status == "done" else None


@router.post("/payments", status_code=202, responses={201: {"model": Payment}})
@needs(PAYING, rate="checkout", outcome=_taken)
async def create_payment(caller: CallerOf, new: NewPayment, response: Response) -> Payment:
    """Take money with a saved way to pay. What the price grants is granted once the gateway reports the money.

    201: the gateway has answered; see `status`: succeeded, processing, failed with its code, or requires_action, when the bank wants to ask the
    customer. 202: it has not answered yet; read the payment, or repeat with the same key.
    """
    wanted = asking.Wanted(
        customer_id=new.customer,
        price=new.price,
        quantity=new.quantity,
        amount_minor=new.amount_minor,
        currency=new.currency,
        method_id=new.payment_method,
        description=new.description,
        return_url=new.return_url,
    )
    async with caller.transaction() as tx:
        payment_id = await asking.ask_payment(
            tx, tenant_id=caller.tenant_id, wanted=wanted, actor=caller.actor, now=caller.now()
        )
        response.headers["location"] = f"/v1/payments/{ids.show(ids.PAYMENT, payment_id)}"
        return await payments.payment(tx, tenant_id=caller.tenant_id, payment_id=payment_id)


@router.post("/payments/{payment}/confirmations", status_code=202, responses={201: {"model": PaymentChange}})
@needs(PAYING, rate="checkout", outcome=_done)
async def confirm_payment(
    caller: CallerOf, payment: _Payment, new: NewConfirmation, response: Response
) -> PaymentChange:
    """Make the page on which the customer confirms a payment; `url` leads there. 201 and 202 as for payments."""
    async with caller.transaction() as tx:
        change_id = await waiting.confirm(
            tx, tenant_id=caller.tenant_id, payment_id=payment, return_url=new.return_url, actor=caller.actor
        )
        return await _asked(tx, caller, change_id, response)


@router.post("/payments/{payment}/cancellations", status_code=202, responses={201: {"model": PaymentChange}})
@needs(PAYING, rate="checkout", outcome=_done)
async def cancel_payment(caller: CallerOf, payment: _Payment, response: Response) -> PaymentChange:
    """Give up a payment that was not taken, so that nobody can confirm it any more. 201 and 202 as for payments."""
    async with caller.transaction() as tx:
        change_id = await waiting.cancel(tx, tenant_id=caller.tenant_id, payment_id=payment, actor=caller.actor)
        return await _asked(tx, caller, change_id, response)


@router.get("/payment-changes")
@needs("payments:read")
async def list_payment_changes(
    caller: CallerOf, filters: Annotated[PaymentChangeFilters, Query()]
) -> Page[PaymentChange]:
    """List what was asked for of payments that wait, newest first, without links."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.payment_changes(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
        )


@router.get("/payment-changes/{payment_change}")
@needs("payments:read")
async def get_payment_change(caller: CallerOf, payment_change: Annotated[PaymentChangeId, Path()]) -> PaymentChange:
    """Return one change; its link, while the payment waits, to whoever may ask for payments."""
    async with caller.transaction() as tx:
        return await _one(tx, caller, payment_change)


async def _asked(tx: Transaction, caller: Caller, change_id: UUID, response: Response) -> PaymentChange:
    response.headers["location"] = f"/v1/payment-changes/{ids.show(ids.PAYMENT_CHANGE, change_id)}"
    return await _one(tx, caller, change_id)


async def _one(tx: Transaction, caller: Caller, change_id: UUID) -> PaymentChange:
    seal = caller.resources.seal if PAYING in caller.principal.permissions else None
    return await queries.payment_change(tx, tenant_id=caller.tenant_id, change_id=change_id, seal=seal)
