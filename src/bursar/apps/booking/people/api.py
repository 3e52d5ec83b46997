"""Routes of what is known about customers who attend."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from bursar.apps.booking.people.attendees import Attendee, attendee_of, set_attendee
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Day, Input, Instant, Key, Lines, Reason, View
from bursar.kernel.http.identifiers import CustomerId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["attendees"])

CustomerPath = Annotated[CustomerId, Path(alias="customer")]
Level = Annotated[Key, Field(max_length=64, description="In the business's own words.", examples=["beginner"])]


class WantedAttendee(Input):
    """What is known. What is left out is as if nothing had been written down."""

    is_active: bool = Field(default=True, description="Whether he is a member at present, where a rule asks for it.")
    is_banned: bool = False
    banned_reason: Reason | None = Field(default=None, description="For the business; it is not shown to him.")
    waiver_signed_at: Instant | None = None
    born_on: Day | None = None
    level: Level | None = None
    gender: Annotated[Key, Field(max_length=32, description="In the business's own words.")] | None = None
    dues_unpaid_since: Instant | None = None
    notes: Annotated[Lines, Field(max_length=2000)] = ""


class ShownAttendee(View):
    """What rules ask about a customer."""

    customer: CustomerId
    is_active: bool
    is_banned: bool
    banned_reason: str | None
    waiver_signed_at: datetime | None
    born_on: date | None
    level: str | None
    gender: str | None
    dues_unpaid_since: datetime | None
    notes: str


@router.get("/customers/{customer}/attendee")
@needs("bookings:read")
async def get_attendee(caller: CallerOf, customer: CustomerPath) -> ShownAttendee:
    """Return what is known about a customer who attends; of whom nothing was written down, what counts then."""
    async with caller.transaction() as tx:
        return _shown(customer, await attendee_of(tx, tenant_id=caller.tenant_id, customer_id=customer))


@router.put("/customers/{customer}/attendee")
@needs("bookings:write")
async def put_attendee(caller: CallerOf, customer: CustomerPath, wanted: WantedAttendee) -> ShownAttendee:
    """Write down what is known about a customer. It counts for bookings from now on."""
    attendee = Attendee(**wanted.model_dump())
    async with caller.transaction() as tx:
        found = await set_attendee(
            tx, tenant_id=caller.tenant_id, customer_id=customer, attendee=attendee, actor=caller.actor
        )
    return _shown(customer, found)


def _shown(customer: CustomerId, attendee: Attendee) -> ShownAttendee:
    return ShownAttendee(customer=customer, **asdict(attendee))
