"""Routes of fees."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.fees import asking, queries, raising
from bursar.apps.booking.fees.models import FeeStatus
from bursar.apps.booking.fees.queries import FeeView
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Page, PageFilters, Reason, Url, page_of
from bursar.kernel.http.identifiers import AccountId, BookingFeeId, BookingId, CustomerId
from bursar.money import checkouts

READING: Final = "bookings:read"
WRITING: Final = "bookings:write"
OVERRIDING: Final = "bookings:override"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["bookings"])

OnFee = Annotated[BookingFeeId, Path()]


class FeeFilters(PageFilters):
    customer: CustomerId | None = None
    booking: BookingId | None = None
    status: FeeStatus | None = None


class NewFeeCheckout(Input):
    gateway_account: AccountId | None = Field(default=None, description="Where it is paid, if there are several.")
    success_url: Url | None = Field(default=None, description="Where who has paid comes back to; else a page of ours.")
    cancel_url: Url | None = None


class NewFeeWaiver(Input):
    reason: Reason


@router.get("/booking-fees")
@needs(READING)
async def list_booking_fees(caller: CallerOf, filters: Annotated[FeeFilters, Query()]) -> Page[FeeView]:
    """List fees for not coming and for cancelling late, newest first."""
    async with caller.transaction() as tx:
        found = await queries.fees(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(found)


@router.get("/booking-fees/{booking_fee}")
@needs(READING)
async def get_booking_fee(caller: CallerOf, booking_fee: OnFee) -> FeeView:
    """Return one fee."""
    async with caller.transaction() as tx:
        return await queries.fee(tx, tenant_id=caller.tenant_id, fee_id=booking_fee)


@router.post("/booking-fees/{booking_fee}/checkouts", status_code=201)
@needs(WRITING)
async def start_fee_checkout(caller: CallerOf, booking_fee: OnFee, new: NewFeeCheckout) -> FeeView:
    """Ask for the payment of a fee: `checkout` of the answer has the link. One that is open already is taken again."""
    wanted = checkouts.Wanted(
        lines=(),
        success_url=new.success_url,
        cancel_url=new.cancel_url,
        base_url=caller.resources.settings.public_url,
        account_id=new.gateway_account,
    )
    place = {"tenant_id": caller.tenant_id, "fee_id": booking_fee}
    async with caller.transaction() as tx:
        await asking.ask(tx, **place, wanted=wanted, actor=caller.actor, now=caller.now())
        return await queries.fee(tx, **place)


@router.post("/booking-fees/{booking_fee}/orders", status_code=201)
@needs(WRITING)
async def place_fee_order(caller: CallerOf, booking_fee: OnFee) -> FeeView:
    """Place the order of a fee that is paid at the desk: name `order` of the answer at POST /v1/manual-payments."""
    place = {"tenant_id": caller.tenant_id, "fee_id": booking_fee}
    async with caller.transaction() as tx:
        await asking.order(tx, **place, actor=caller.actor, now=caller.now())
        return await queries.fee(tx, **place)


@router.post("/booking-fees/{booking_fee}/waivers", status_code=201)
@needs(OVERRIDING)
async def waive_fee(caller: CallerOf, booking_fee: OnFee, new: NewFeeWaiver) -> FeeView:
    """Let a fee be owed no more. What was paid is refunded as a payment instead."""
    place = {"tenant_id": caller.tenant_id, "fee_id": booking_fee}
    async with caller.transaction() as tx:
        await raising.waive(tx, **place, reason=new.reason, actor=caller.actor, now=caller.now())
        return await queries.fee(tx, **place)
