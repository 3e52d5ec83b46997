"""Routes of checkouts."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import Email, Input, Instant, Key, Page, PageFilters, Url, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, OrderId
from bursar.money.calls.following import check_not_refused, outcome_of
from bursar.money.checkouts import queries, starting
from bursar.money.checkouts.queries import Checkout, CheckoutId
from bursar.money.purchases.bought import QUANTITY_MAX

STARTING: Final = "payments:write"
"""Who may start checkouts, and see their links."""

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["checkouts"])


class CheckoutRefused(GatewayRefused):
    """The gateway will not make this checkout."""

    code = "checkout_refused"
    status = 422


class NewCheckoutLine(Input):
    price: Annotated[Key, Field(description="A price's id or lookup key.", examples=["ten-classes"])]
    quantity: Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, examples=[1])] = 1


class NewCheckout(Input):
    """What to sell, to whom. A recurring price makes it a subscription. `gateway_account` is needed only where there are several."""

    lines: list[NewCheckoutLine] = Field(min_length=1, max_length=100)
    success_url: Url | None = Field(
        default=None,
        description="Where the customer comes back to. `{CHECKOUT_SESSION_ID}` becomes the gateway's id. Without: a page of"
        " Bursar's, in the business's theme, that shows what was bought and what it granted.",
    )
    cancel_url: Url | None = None
    customer: CustomerId | None = None
    email: Email | None = Field(default=None, description="Prefills the page.")
    gateway_account: AccountId | None = None
    expires_at: Instant | None = None
    trial_end: Instant | None = Field(default=None, description="Of a subscription: until then nothing is asked.")
    saves_payment_method: bool = Field(default=False, description="Keep the way to pay for later payments.")


class CheckoutFilters(PageFilters):
    customer: CustomerId | None = None
    order: OrderId | None = None
    since: Instant | None = None
    until: Instant | None = None


async def _made(caller: Caller, name: str) -> Checkout | None:
    """Wait for the gateway's answer. Raises CheckoutRefused."""
    checkout_id = ids.parse(ids.CHECKOUT, name)
    async with caller.transaction() as tx:
        call_id = await queries.call_of(tx, tenant_id=caller.tenant_id, checkout_id=checkout_id)
    await outcome_of(caller, call_id)
    async with caller.transaction() as tx:
        found = await _one(tx, caller, checkout_id)
    check_not_refused(
        found,
        CheckoutRefused,
        hint="Nothing was charged. Change what the gateway objects to, and start a new checkout.",
        checkout=name,
    )
    return None if found.status == "pending" else found


@router.post("/checkouts", status_code=202, responses={201: {"model": Checkout}})
@needs(STARTING, rate="checkout", outcome=_made)
async def start_checkout(caller: CallerOf, new: NewCheckout, response: Response) -> Checkout:
    """Make a hosted page on which a customer pays.

    201: the page is there, `url` leads to it. 202: the gateway has not answered yet; read the checkout, or repeat with the same key.
    """
    wanted = starting.Wanted(
        lines=[(line.price, line.quantity) for line in new.lines],
        success_url=new.success_url,
        cancel_url=new.cancel_url,
        base_url=caller.resources.settings.public_url,
        account_id=new.gateway_account,
        customer_id=new.customer,
        email=new.email,
        expires_at=new.expires_at,
        trial_end=new.trial_end,
        saves_payment_method=new.saves_payment_method,
    )
    async with caller.transaction() as tx:
        made = await starting.start(tx, tenant_id=caller.tenant_id, wanted=wanted, actor=caller.actor)
        response.headers["location"] = f"/v1/checkouts/{ids.show(ids.CHECKOUT, made.checkout_id)}"
        return await _one(tx, caller, made.checkout_id)


@router.get("/checkouts")
@needs("payments:read")
async def list_checkouts(caller: CallerOf, filters: Annotated[CheckoutFilters, Query()]) -> Page[Checkout]:
    """List checkouts, newest first, without their links."""
    async with caller.transaction() as tx:
        return page_of(await queries.checkouts(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/checkouts/{checkout}")
@needs("payments:read")
async def get_checkout(caller: CallerOf, checkout: Annotated[CheckoutId, Path()]) -> Checkout:
    """Return one checkout; its link, while the page is open, to whoever may start checkouts."""
    async with caller.transaction() as tx:
        return await _one(tx, caller, checkout)


async def _one(tx: Transaction, caller: Caller, checkout_id: UUID) -> Checkout:
    seal = caller.resources.seal if STARTING in caller.principal.permissions else None
    return await queries.checkout(tx, tenant_id=caller.tenant_id, checkout_id=checkout_id, seal=seal)
