"""Routes of appointments. An appointment is a booking: it is cancelled and checked in at `/v1/bookings/{booking}/…`."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.apps.booking.bookings.paying import Landing
from bursar.apps.booking.services import appointment_queries as queries
from bursar.apps.booking.services import appointments, moving
from bursar.apps.booking.services.appointment_queries import Appointment, AppointmentId, StaffDay, Status
from bursar.apps.booking.services.appointments import NewAppointment
from bursar.apps.booking.services.history import AHEAD, History, history
from bursar.apps.booking.services.queries import ServiceId, StaffId, TierId, VenueId
from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.http import Day, Filters, Input, Instant, Page, PageFilters, Reason, Url, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.kernel.permissions import require
from bursar.kernel.zones import days_of, time_zone_of
from bursar.money.calls.following import outcome_of
from bursar.money.checkouts.queries import call_of

READING: Final = "bookings:read"
WRITING: Final = "bookings:write"
OVERRIDING: Final = "bookings:override"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["services"])


class WantedAppointment(Input):
    """Whose time, for whom. Without `staff` whoever is free gives it.

    Where the tier has a price, it is held until that, or its deposit, is paid on the page that `checkout` leads to.
    """

    service: ServiceId
    tier: TierId
    customer: CustomerId
    starts_at: Instant
    staff: StaffId | None = None
    venue: VenueId | None = None
    at_desk: bool = Field(default=False, description="Made by staff: it needs no approval.")
    is_paid_ahead: bool = Field(default=True, description="False: it is sure without payment; needs a reason.")
    override_reason: Reason | None = Field(default=None, description="Why staff gives a time that is not offered.")
    success_url: Url | None = None
    cancel_url: Url | None = None
    gateway_account: AccountId | None = None


class WantedReschedule(Input):
    starts_at: Instant
    staff: StaffId | None = Field(default=None, description="Without: the same, or whoever is free.")
    venue: VenueId | None = None
    override_reason: Reason | None = None


class WantedConfirmation(Input):
    """Where who pays for it comes back to."""

    success_url: Url | None = None
    cancel_url: Url | None = None
    gateway_account: AccountId | None = None


class AppointmentFilters(PageFilters):
    customer: CustomerId | None = None
    staff: StaffId | None = None
    service: ServiceId | None = None
    status: Status | None = None
    since: Day | None = Field(default=None, description="The first day, where they are given.")
    until: Day | None = Field(default=None, description="The day after the last.")


class HistoryFilters(Filters):
    limit: int = Field(default=50, ge=1, le=200)
    until: Instant | None = Field(default=None, description="What happened before it.")
    before: str | None = Field(
        default=None, max_length=100, description="`next` of the page before: what happened earlier."
    )


class DayFilter(Filters):
    date: Day = Field(description="A day in the business's zone.")


async def _made(caller: Caller, name: str) -> Appointment | None:
    """Wait until there is a page to pay on."""
    booking_id = ids.parse(ids.BOOKING, name)
    async with caller.transaction() as tx:
        found = await queries.appointment(tx, tenant_id=caller.tenant_id, booking_id=booking_id)
        if found.checkout is None:
            return found
        call_id = await call_of(tx, tenant_id=caller.tenant_id, checkout_id=found.checkout.id)
    await outcome_of(caller, call_id)
    async with caller.transaction() as tx:
        found = await queries.appointment(
            tx, tenant_id=caller.tenant_id, booking_id=booking_id, seal=caller.resources.seal
        )
    return None if found.checkout and found.checkout.status == "pending" else found


@router.post("/appointments", status_code=202, responses={201: {"model": Appointment}})
@needs(WRITING, outcome=_made)
async def book(caller: CallerOf, wanted: WantedAppointment, response: Response) -> Appointment:
    """Make an appointment.

    201: it is booked, or held with a page to pay on, or to be paid at the desk. 202: it is held, and the gateway has not made the page yet; read it again.
    """
    if wanted.override_reason is not None:
        require(caller.principal.permissions, OVERRIDING)
    landing = Landing(
        wanted.success_url, wanted.cancel_url, caller.resources.settings.public_url, wanted.gateway_account
    )
    new = NewAppointment(
        service_id=wanted.service,
        tier_id=wanted.tier,
        customer_id=wanted.customer,
        starts_at=wanted.starts_at,
        staff_id=wanted.staff,
        venue_id=wanted.venue,
        source="desk" if wanted.at_desk else "online",
        is_paid_ahead=wanted.is_paid_ahead,
        override_reason=wanted.override_reason,
        landing=landing,
    )
    async with caller.transaction() as tx:
        made = await appointments.book(tx, tenant_id=caller.tenant_id, new=new, actor=caller.actor, now=caller.now())
        shown = await queries.appointment(tx, tenant_id=caller.tenant_id, booking_id=made.id)
    response.headers["location"] = f"/v1/appointments/{ids.show(ids.BOOKING, made.id)}"
    if shown.checkout is None:
        response.status_code = 201
    return shown


@router.get("/appointments")
@needs(READING)
async def list_appointments(caller: CallerOf, filters: Annotated[AppointmentFilters, Query()]) -> Page[Appointment]:
    """List appointments, those made last first."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.appointments(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
        )


@router.get("/appointments/{appointment}")
@needs(READING)
async def get_appointment(caller: CallerOf, appointment: Annotated[AppointmentId, Path()]) -> Appointment:
    """Return one appointment; the link to its payment, while that is open, to whoever may make appointments."""
    seal = caller.resources.seal if WRITING in caller.principal.permissions else None
    async with caller.transaction() as tx:
        return await queries.appointment(tx, tenant_id=caller.tenant_id, booking_id=appointment, seal=seal)


@router.post("/appointments/{appointment}/reschedules", status_code=201)
@needs(WRITING)
async def reschedule(
    caller: CallerOf, appointment: Annotated[AppointmentId, Path()], wanted: WantedReschedule
) -> Appointment:
    """Move an appointment by its terms. The old time is free in the moment in which the new one is taken."""
    if wanted.override_reason is not None:
        require(caller.principal.permissions, OVERRIDING)
    async with caller.transaction() as tx:
        await moving.reschedule(
            tx,
            tenant_id=caller.tenant_id,
            booking_id=appointment,
            starts_at=wanted.starts_at,
            staff_id=wanted.staff,
            venue_id=wanted.venue,
            override_reason=wanted.override_reason,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.appointment(tx, tenant_id=caller.tenant_id, booking_id=appointment)


@router.post("/appointments/{appointment}/confirmations", status_code=202, responses={201: {"model": Appointment}})
@needs(WRITING, outcome=_made)
async def confirm(
    caller: CallerOf, appointment: Annotated[AppointmentId, Path()], wanted: WantedConfirmation, response: Response
) -> Appointment:
    """Say yes to an appointment that was requested. Where it is paid ahead, it is held until then."""
    landing = Landing(
        wanted.success_url, wanted.cancel_url, caller.resources.settings.public_url, wanted.gateway_account
    )
    async with caller.transaction() as tx:
        await appointments.confirm(
            tx,
            tenant_id=caller.tenant_id,
            booking_id=appointment,
            landing=landing,
            actor=caller.actor,
            now=caller.now(),
        )
        shown = await queries.appointment(tx, tenant_id=caller.tenant_id, booking_id=appointment)
    if shown.checkout is None:
        response.status_code = 201
    return shown


@router.get("/staff/{staff}/day")
@needs(READING)
async def get_staff_day(
    caller: CallerOf, staff: Annotated[StaffId, Path()], asked: Annotated[DayFilter, Query()]
) -> StaffDay:
    """Show a staff member's day: appointments and classes, in order."""
    async with caller.transaction() as tx:
        zone = await time_zone_of(tx, tenant_id=caller.tenant_id)
        day = days_of(zone, asked.date, asked.date)
        return await queries.staff_day(
            tx,
            tenant_id=caller.tenant_id,
            staff_id=staff,
            day=asked.date,
            zone=zone.key,
            bounds=(day.starts_at, day.ends_at),
        )


@router.get("/customers/{customer}/history")
@needs("payments:read")
async def get_history(
    caller: CallerOf, customer: Annotated[CustomerId, Path()], asked: Annotated[HistoryFilters, Query()]
) -> History:
    """Show what a person paid, was paid back, booked and came to, and which credits moved, in one timeline, at every gateway."""
    async with caller.transaction() as tx:
        return await history(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=customer,
            until=asked.until or caller.now() + AHEAD,
            before=asked.before,
            limit=asked.limit,
        )
