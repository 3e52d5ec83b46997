"""Routes of services, of who gives them and when, and of what is free."""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request

from bursar.apps.booking.schedule.times import local
from bursar.apps.booking.services import offering, queries, working
from bursar.apps.booking.services.availability import calendar_of, grouped, offer_of
from bursar.apps.booking.services.offering import NewService, NewTier
from bursar.apps.booking.services.queries import Hours, HoursId, Service, ServiceId, StaffId, TierId, TimeOff, TimeOffId
from bursar.apps.booking.services.schemas import (
    Availability,
    HoursFilters,
    ServiceFilters,
    ShownSlot,
    ShownSlots,
    WantedHours,
    WantedService,
    WantedSkill,
    WantedTier,
    WantedTimeOff,
)
from bursar.apps.booking.services.working import HoursInvalid, NewHours, NewTimeOff
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.errors import FieldError
from bursar.kernel.http import Page, page_of
from bursar.kernel.listing import ASKED
from bursar.kernel.zones import local_day, time_zone_of
from bursar.money.catalog.selling import GrantCheck

READING: Final = "schedule:read"
WRITING: Final = "schedule:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["services"])


async def _grant_check(request: Request) -> GrantCheck:
    """Who judges grants is put here by the application."""
    check: GrantCheck = request.app.state.grant_check
    return check


@router.get("/services")
@needs(READING)
async def list_services(caller: CallerOf, filters: Annotated[ServiceFilters, Query()]) -> Page[Service]:
    """List services with their tiers and who gives them, newest first."""
    given = {name: value for name, value in filters.given.items() if name != "include_deleted"}
    given |= {} if filters.include_deleted else {"present": ASKED}
    async with caller.transaction() as tx:
        return page_of(await queries.services(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.post("/services", status_code=201)
@needs(WRITING)
async def add_service(caller: CallerOf, wanted: WantedService) -> Service:
    """Offer a service. It can be booked once it has a tier, somebody who gives it, and working hours."""
    async with caller.transaction() as tx:
        service_id = await offering.add_service(
            tx, tenant_id=caller.tenant_id, new=new_service(wanted), actor=caller.actor
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service_id)


@router.get("/services/{service}")
@needs(READING)
async def get_service(caller: CallerOf, service: Annotated[ServiceId, Path()]) -> Service:
    """Return one service."""
    async with caller.transaction() as tx:
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.put("/services/{service}")
@needs(WRITING)
async def change_service(caller: CallerOf, service: Annotated[ServiceId, Path()], wanted: WantedService) -> Service:
    """Offer a service on other terms from now on. Appointments that there are stay as they are."""
    new = new_service(wanted)
    async with caller.transaction() as tx:
        await offering.change_service(tx, tenant_id=caller.tenant_id, service_id=service, new=new, actor=caller.actor)
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.delete("/services/{service}")
@needs(WRITING)
async def delete_service(caller: CallerOf, service: Annotated[ServiceId, Path()]) -> Service:
    """Offer a service no more. Refused while appointments for it are to come."""
    async with caller.transaction() as tx:
        await offering.delete_service(
            tx, tenant_id=caller.tenant_id, service_id=service, actor=caller.actor, now=caller.now()
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.post("/services/{service}/tiers", status_code=201)
@needs(WRITING)
async def add_tier(
    caller: CallerOf,
    service: Annotated[ServiceId, Path()],
    wanted: WantedTier,
    check: Annotated[GrantCheck, Depends(_grant_check)],
) -> Service:
    """Offer a service in a length and for a price. The terms of a tier never change; new terms are a new tier."""
    async with caller.transaction() as tx:
        await offering.add_tier(
            tx,
            tenant_id=caller.tenant_id,
            service_id=service,
            new=NewTier(**wanted.model_dump()),
            check=check,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.delete("/services/{service}/tiers/{tier}")
@needs(WRITING)
async def delete_tier(
    caller: CallerOf, service: Annotated[ServiceId, Path()], tier: Annotated[TierId, Path()]
) -> Service:
    """Offer a tier no more. Refused while appointments for it are to come."""
    async with caller.transaction() as tx:
        await offering.delete_tier(
            tx, tenant_id=caller.tenant_id, service_id=service, tier_id=tier, actor=caller.actor, now=caller.now()
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.put("/services/{service}/staff/{staff}")
@needs(WRITING)
async def put_skill(
    caller: CallerOf, service: Annotated[ServiceId, Path()], staff: Annotated[StaffId, Path()], wanted: WantedSkill
) -> Service:
    """Say that somebody gives a service: some of its tiers, or all."""
    async with caller.transaction() as tx:
        await offering.set_skill(
            tx,
            tenant_id=caller.tenant_id,
            service_id=service,
            staff_id=staff,
            tier_ids=wanted.tiers,
            actor=caller.actor,
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.delete("/services/{service}/staff/{staff}")
@needs(WRITING)
async def delete_skill(
    caller: CallerOf, service: Annotated[ServiceId, Path()], staff: Annotated[StaffId, Path()]
) -> Service:
    """Say that somebody gives a service no more. Appointments that there are stay."""
    async with caller.transaction() as tx:
        await offering.end_skill(
            tx,
            tenant_id=caller.tenant_id,
            service_id=service,
            staff_id=staff,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.service(tx, tenant_id=caller.tenant_id, service_id=service)


@router.get("/staff-hours")
@needs(READING)
async def list_hours(caller: CallerOf, filters: Annotated[HoursFilters, Query()]) -> Page[Hours]:
    """List working hours, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.hours(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/staff-hours", status_code=201)
@needs(WRITING)
async def add_hours(caller: CallerOf, wanted: WantedHours) -> Hours:
    """Say when somebody works at a venue, by its clock. Hours over midnight are two: one until 24:00, one from 00:00."""
    async with caller.transaction() as tx:
        zone = await time_zone_of(tx, tenant_id=caller.tenant_id)
        new = new_hours(wanted, today=local_day(caller.now(), zone))
        hours_id = await working.add_hours(tx, tenant_id=caller.tenant_id, new=new, actor=caller.actor)
        return await queries.hours_of(tx, tenant_id=caller.tenant_id, hours_id=hours_id)


@router.delete("/staff-hours/{hours}")
@needs(WRITING)
async def delete_hours(caller: CallerOf, hours: Annotated[HoursId, Path()]) -> Hours:
    """Take working hours away. Appointments in them stay."""
    async with caller.transaction() as tx:
        await working.end_hours(tx, tenant_id=caller.tenant_id, hours_id=hours, actor=caller.actor, now=caller.now())
        return await queries.hours_of(tx, tenant_id=caller.tenant_id, hours_id=hours)


@router.get("/staff-time-off")
@needs(READING)
async def list_time_off(caller: CallerOf, filters: Annotated[HoursFilters, Query()]) -> Page[TimeOff]:
    """List times off, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.times_off(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/staff-time-off", status_code=201)
@needs(WRITING)
async def add_time_off(caller: CallerOf, wanted: WantedTimeOff) -> TimeOff:
    """Say when somebody does not work, or a venue is closed. Appointments that there are stay, and are shown."""
    new = NewTimeOff(wanted.staff, wanted.venue, wanted.from_, wanted.until, wanted.reason or "")
    async with caller.transaction() as tx:
        off_id = await working.add_time_off(
            tx,
            tenant_id=caller.tenant_id,
            new=new,
            business_zone=(await time_zone_of(tx, tenant_id=caller.tenant_id)).key,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.time_off_of(tx, tenant_id=caller.tenant_id, off_id=off_id)


@router.delete("/staff-time-off/{time_off}")
@needs(WRITING)
async def delete_time_off(caller: CallerOf, time_off: Annotated[TimeOffId, Path()]) -> TimeOff:
    """Take time off back."""
    async with caller.transaction() as tx:
        await working.end_time_off(
            tx, tenant_id=caller.tenant_id, off_id=time_off, actor=caller.actor, now=caller.now()
        )
        return await queries.time_off_of(tx, tenant_id=caller.tenant_id, off_id=time_off)


@router.get("/availability")
@needs(READING)
async def availability(caller: CallerOf, asked: Annotated[Availability, Query()]) -> ShownSlots:
    """List when a tier can be booked, with anybody or with one staff member. It may be gone by the time that it is booked."""
    async with caller.transaction() as tx:
        offer = await offer_of(tx, tenant_id=caller.tenant_id, service_id=asked.service, tier_id=asked.tier)
        calendar = await calendar_of(
            tx,
            tenant_id=caller.tenant_id,
            offer=offer,
            staff_id=asked.staff,
            since=asked.from_,
            until=asked.to,
            now=caller.now(),
        )
    places = calendar.places
    return ShownSlots(
        data=[
            ShownSlot(
                starts_at=slot.starts_at,
                ends_at=slot.starts_at + offer.work.duration,
                local=local(slot.starts_at, places[slot.venue_id].time_zone),
                venue=slot.venue_id,
                venue_name=places[slot.venue_id].name,
                staff=staff,
            )
            for slot, staff in grouped(calendar.free())
        ]
    )


def new_hours(wanted: WantedHours, *, today: date) -> NewHours:
    """Return the hours that are wanted, from today where no day is said. Raises HoursInvalid."""
    if (wanted.weekday is None) == (wanted.date is None):
        wrong = FieldError("weekday", "invalid", "give a weekday, or a date, and not both")
        raise HoursInvalid("hours are of a weekday or of one date", fields=(wrong,))
    return NewHours(
        staff_id=wanted.staff,
        venue_id=wanted.venue,
        weekday=wanted.weekday,
        from_minute=wanted.from_,
        to_minute=wanted.until,
        valid_from=wanted.date or wanted.valid_from or today,
        valid_until=wanted.date or wanted.valid_until,
    )


def new_service(wanted: WantedService) -> NewService:
    """Return the service that is wanted."""
    return NewService(
        name=wanted.name,
        about=wanted.about,
        category=wanted.category or "",
        policy_id=wanted.policy,
        slot_min=wanted.slot_min,
        lead_min=wanted.lead_min,
        horizon_days=wanted.horizon_days,
        is_published=wanted.is_published,
    )
