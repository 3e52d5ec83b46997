"""Routes of money for bookings that is taken at the desk."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.bookings import at_desk
from bursar.apps.booking.bookings.handing_back import DeskReturn, desk_returns
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.http import Input, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId, BookingId
from bursar.money.gateways.manual import DeskMethod
from bursar.money.intake.queries import event
from bursar.money.intake.schemas import GatewayEvent

TAKING_MONEY: Final = "payments:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["bookings"])


class NewDeskPayment(Input):
    """What has to be paid for a booking, taken at the desk."""

    method: Annotated[DeskMethod, Field(strict=False)] = DeskMethod.cash
    reference: Annotated[Key, Field(max_length=200)] | None = Field(
        default=None, description="Your name of it, as a receipt's number; else the booking's id."
    )
    gateway_account: AccountId | None = Field(default=None, description="Which desk, if there are several.")


class DeskReturnFilters(PageFilters):
    booking: BookingId | None = None


@router.get("/desk-returns")
@needs("payments:read")
async def list_desk_returns(caller: CallerOf, filters: Annotated[DeskReturnFilters, Query()]) -> Page[DeskReturn]:
    """List cash that was taken for bookings and has to be handed back. Hand it back, and record it at `POST /v1/manual-refunds`."""
    async with caller.transaction() as tx:
        given = filters.given
        return page_of(await desk_returns(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.post("/bookings/{booking}/desk-payments", status_code=202)
@needs(TAKING_MONEY)
async def take_desk_payment(
    caller: CallerOf, booking: Annotated[BookingId, Path()], new: NewDeskPayment
) -> GatewayEvent:
    """Record that what a held booking has to be paid with was taken at the desk. A moment later it is booked."""
    async with caller.transaction() as tx:
        event_id = await take(tx, caller, booking, new)
        return await event(tx, tenant_id=caller.tenant_id, event_id=event_id)


async def take(tx: Transaction, caller: Caller, booking_id: UUID, new: NewDeskPayment) -> UUID:
    """Record the payment; return the event that tells it. Raises what `take_payment` raises."""
    return await at_desk.take_payment(
        tx,
        tenant_id=caller.tenant_id,
        booking_id=booking_id,
        method=new.method,
        reference=new.reference,
        account_id=new.gateway_account,
        actor=caller.actor,
        now=caller.now(),
    )
