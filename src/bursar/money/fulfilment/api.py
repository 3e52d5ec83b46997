"""Routes of what customers have and use: credits, entitlements, licences."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.errors import Conflict
from bursar.kernel.http import Input, Instant, Key, Name, Page, PageFilters, Reason, View, page_of
from bursar.kernel.http.identifiers import CustomerId, LotId, SpendId
from bursar.kernel.listing import ASKED
from bursar.money.customers import require_customer
from bursar.money.fulfilment import queries, returning, spending
from bursar.money.fulfilment.credits import AMOUNT_MAX, POOL_DEFAULT
from bursar.money.fulfilment.schemas import CreditMovement, Credits, Entitlement, EntitlementState, MovementKind
from bursar.money.fulfilment.spending import Reserved

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["credits and entitlements"])

Pool = Annotated[Name, Field(max_length=64, examples=["classes"])]
Amount = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_MAX, examples=[1])]


class EntitlementFilters(PageFilters):
    kind: Key | None = None
    key: Key | None = None
    status: EntitlementState | None = None


class MovementFilters(PageFilters):
    kind: MovementKind | None = None
    pool: Key | None = None
    lot: LotId | None = None
    since: Instant | None = None
    until: Instant | None = None


class NewSpend(Input):
    """`reference` names the spend: repeating it repeats the answer and spends nothing more."""

    customer: CustomerId
    amount: Amount
    reference: Key = Field(examples=["booking-8812"])
    pool: Pool = POOL_DEFAULT


class NewAdjustment(Input):
    """Credits that no payment granted. To take credits away, spend them."""

    customer: CustomerId
    amount: Amount
    reason: Reason = Field(examples=["The class was cancelled by us."])
    pool: Pool = POOL_DEFAULT
    expires_at: Instant | None = None


class SpendPart(View):
    lot: LotId
    amount: int


class Spend(View):
    """Credits spent under one reference. `parts`: from which lots, soonest-expiring first."""

    id: SpendId
    customer: CustomerId
    pool: str
    reference: str
    amount: int
    returned: bool
    parts: list[SpendPart]
    created_at: datetime


class Adjustment(View):
    lot: LotId
    customer: CustomerId
    pool: str
    amount: int
    expires_at: datetime | None


@router.get("/customers/{customer}/credits")
@needs("credits:read")
async def get_credits_of_customer(caller: CallerOf, customer: Annotated[CustomerId, Path()]) -> Credits:
    """Return a customer's credits, judged now."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=customer)
        return await queries.credits_of(tx, tenant_id=caller.tenant_id, customer_id=customer, now=caller.now())


@router.get("/customers/{customer}/credit-movements")
@needs("credits:read")
async def list_credit_movements_of_customer(
    caller: CallerOf, customer: Annotated[CustomerId, Path()], filters: Annotated[MovementFilters, Query()]
) -> Page[CreditMovement]:
    """List what happened to a customer's credits, newest first."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=customer)
        given = filters.given | {"customer": customer}
        return page_of(await queries.credit_movements(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.get("/customers/{customer}/entitlements")
@needs("credits:read")
async def list_entitlements_of_customer(
    caller: CallerOf, customer: Annotated[CustomerId, Path()], filters: Annotated[EntitlementFilters, Query()]
) -> Page[Entitlement]:
    """List what a customer has, judged now, newest first."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=customer)
        given = _with_status(filters) | {"customer": customer}
        return page_of(await queries.entitlements(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


class SpendReserved(Conflict):
    """The spend is something's own: it begins and ends with that."""

    code = "spend_reserved"


async def _reserved(request: Request) -> tuple[Reserved, ...]:
    """What spends credits here stands above, and is put here by the application."""
    reserved: tuple[Reserved, ...] = request.app.state.reserved_spends
    return reserved


ReservedSpends = Annotated[tuple[Reserved, ...], Depends(_reserved)]


@router.post("/credit-spends", status_code=201)
@needs("credits:write")
async def spend_credits(caller: CallerOf, new: NewSpend, reserved: ReservedSpends) -> Spend:
    """Spend credits, soonest-expiring first. Refused with `credits_insufficient` when they do not cover the amount."""
    _require_free(new.reference, reserved)
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=new.customer)
        spent = await spending.spend(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=new.customer,
            pool=new.pool,
            amount=new.amount,
            reference=new.reference,
            actor=caller.actor,
            now=caller.now(),
        )
    return _shown(spent)


@router.get("/credit-spends/{spend}")
@needs("credits:read")
async def get_credit_spend(caller: CallerOf, spend: Annotated[SpendId, Path()]) -> Spend:
    """Return one spend."""
    async with caller.transaction() as tx:
        return _shown(await spending.spend_of(tx, tenant_id=caller.tenant_id, spend_id=spend))


@router.post("/credit-spends/{spend}/returns", status_code=201)
@needs("credits:write")
async def return_credit_spend(caller: CallerOf, spend: Annotated[SpendId, Path()], reserved: ReservedSpends) -> Spend:
    """Give the credits of a spend back to the lots they came from. Repeating it changes nothing."""
    async with caller.transaction() as tx:
        found = await spending.spend_of(tx, tenant_id=caller.tenant_id, spend_id=spend)
        _require_free(found.reference, reserved)
        given = await returning.give_back(tx, tenant_id=caller.tenant_id, spend_id=spend, actor=caller.actor)
    return _shown(given)


@router.post("/credit-adjustments", status_code=201)
@needs("credits:write")
async def adjust_credits(caller: CallerOf, new: NewAdjustment) -> Adjustment:
    """Give a customer credits that no payment granted."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=new.customer)
        lot = await spending.adjust(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=new.customer,
            pool=new.pool,
            amount=new.amount,
            expires_at=new.expires_at,
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
        )
    return Adjustment(lot=lot, customer=new.customer, pool=new.pool, amount=new.amount, expires_at=new.expires_at)


def _require_free(reference: str, reserved: Sequence[Reserved]) -> None:
    for owner in reserved:
        if reference.startswith(owner.prefix):
            raise SpendReserved(
                f"references that begin with {owner.prefix} are of {owner.of}",
                hint=f"{owner.instead} For a spend of your own choose another reference.",
            )


def _with_status(filters: EntitlementFilters) -> dict[str, object]:
    """A state is judged by the clock too, so each has a condition of its own."""
    given = filters.given
    status = given.pop("status", None)
    return given | {f"status={status}": ASKED} if status else given


def _shown(spent: spending.Spend) -> Spend:
    return Spend(
        id=spent.id,
        customer=spent.customer_id,
        pool=spent.pool,
        reference=spent.reference,
        amount=spent.amount,
        returned=spent.is_returned,
        parts=[SpendPart(lot=part.lot_id, amount=part.amount) for part in spent.parts],
        created_at=spent.created_at,
    )
