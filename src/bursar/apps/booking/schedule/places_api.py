"""Routes of venues, rooms and staff."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from bursar.apps.booking.schedule import opening, places
from bursar.apps.booking.schedule.schemas import (
    ChangedRoom,
    ChangedStaff,
    ChangedVenue,
    ClosedDay,
    ClosedDays,
    HoursOf,
    NewRoom,
    NewStaff,
    NewVenue,
    OpeningHours,
    Room,
    Staff,
    Venue,
    WantedClosedDays,
    changes_of,
)
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import DeletableFilters, Page, page_of
from bursar.kernel.http.identifiers import RoomId, StaffId, VenueId
from bursar.kernel.listing import Part

READING: Final = "schedule:read"
WRITING: Final = "schedule:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["schedule"])

VenuePath = Annotated[VenueId, Path()]
RoomPath = Annotated[RoomId, Path()]
StaffPath = Annotated[StaffId, Path()]


class RoomFilters(DeletableFilters):
    venue: VenueId | None = None


@router.get("/venues")
@needs(READING)
async def list_venues(caller: CallerOf, filters: Annotated[DeletableFilters, Query()]) -> Page[Venue]:
    """List venues, newest first."""
    async with caller.transaction() as tx:
        found = await places.venues(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(Venue.of, found.rows)), found.next_after))


@router.post("/venues", status_code=201)
@needs(WRITING)
async def add_venue(caller: CallerOf, new: NewVenue) -> Venue:
    """Add a venue, with its own zone."""
    async with caller.transaction() as tx:
        venue_id = await places.add_venue(tx, tenant_id=caller.tenant_id, actor=caller.actor, **new.model_dump())
        return Venue.of(await places.venue(tx, tenant_id=caller.tenant_id, venue_id=venue_id))


@router.get("/venues/{venue}")
@needs(READING)
async def get_venue(caller: CallerOf, venue: VenuePath) -> Venue:
    """Return one venue, a deleted one too."""
    async with caller.transaction() as tx:
        return Venue.of(await places.venue(tx, tenant_id=caller.tenant_id, venue_id=venue))


@router.patch("/venues/{venue}")
@needs(WRITING)
async def change_venue(caller: CallerOf, venue: VenuePath, changed: ChangedVenue) -> Venue:
    """Change a venue. Its zone stays while classes are to come."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
    async with caller.transaction() as tx:
        await places.change_venue(tx, **of, changes=changes_of(changed), actor=caller.actor, now=caller.now())
        return Venue.of(await places.venue(tx, **of))


@router.delete("/venues/{venue}")
@needs(WRITING)
async def delete_venue(caller: CallerOf, venue: VenuePath) -> Venue:
    """Delete a venue with its rooms; refused, with the number, while bookings or classes are to come."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
    async with caller.transaction() as tx:
        await places.delete_venue(tx, **of, actor=caller.actor, now=caller.now())
        return Venue.of(await places.venue(tx, **of))


@router.get("/venues/{venue}/opening-hours")
@needs(READING)
async def get_opening_hours(caller: CallerOf, venue: VenuePath) -> OpeningHours:
    """Show when a venue is open. None: at all times."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
    async with caller.transaction() as tx:
        await places.venue(tx, **of)
        return _hours(await opening.hours_of(tx, **of))


@router.put("/venues/{venue}/opening-hours")
@needs(WRITING)
async def put_opening_hours(caller: CallerOf, venue: VenuePath, wanted: OpeningHours) -> OpeningHours:
    """Set when a venue is open. Classes that are there stay; see GET /v1/schedule-conflicts."""
    hours = [opening.Hours(**each.model_dump()) for each in wanted.hours]
    async with caller.transaction() as tx:
        of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
        return _hours(await opening.set_hours(tx, **of, hours=hours, actor=caller.actor))


@router.get("/venues/{venue}/closed-days")
@needs(READING)
async def get_closed_days(caller: CallerOf, venue: VenuePath) -> ClosedDays:
    """List the days on which a venue is closed."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
    async with caller.transaction() as tx:
        await places.venue(tx, **of)
        return _days(await opening.closed_days_of(tx, **of))


@router.put("/venues/{venue}/closed-days")
@needs(WRITING)
async def put_closed_days(caller: CallerOf, venue: VenuePath, wanted: WantedClosedDays) -> ClosedDays:
    """Set on which days a venue is closed. Rules make no classes on them; classes that are there stay and are told of as conflicts."""
    days = [opening.ClosedDay(**each.model_dump()) for each in wanted.days]
    async with caller.transaction() as tx:
        of: dict[str, Any] = {"tenant_id": caller.tenant_id, "venue_id": venue}
        return _days(await opening.set_closed_days(tx, **of, days=days, actor=caller.actor))


@router.get("/rooms")
@needs(READING)
async def list_rooms(caller: CallerOf, filters: Annotated[RoomFilters, Query()]) -> Page[Room]:
    """List rooms, newest first."""
    async with caller.transaction() as tx:
        found = await places.rooms(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(Room.of, found.rows)), found.next_after))


@router.post("/rooms", status_code=201)
@needs(WRITING)
async def add_room(caller: CallerOf, new: NewRoom) -> Room:
    """Add a room to a venue."""
    async with caller.transaction() as tx:
        room_id = await places.add_room(
            tx, tenant_id=caller.tenant_id, venue_id=new.venue, name=new.name, capacity=new.capacity, actor=caller.actor
        )
        return Room.of(await places.room(tx, tenant_id=caller.tenant_id, room_id=room_id))


@router.get("/rooms/{room}")
@needs(READING)
async def get_room(caller: CallerOf, room: RoomPath) -> Room:
    """Return one room, a deleted one too."""
    async with caller.transaction() as tx:
        return Room.of(await places.room(tx, tenant_id=caller.tenant_id, room_id=room))


@router.patch("/rooms/{room}")
@needs(WRITING)
async def change_room(caller: CallerOf, room: RoomPath, changed: ChangedRoom) -> Room:
    """Change a room. Classes keep their capacity; where it is too much now, it is told of as a conflict."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "room_id": room}
    async with caller.transaction() as tx:
        await places.change_room(tx, **of, changes=changes_of(changed), actor=caller.actor)
        return Room.of(await places.room(tx, **of))


@router.delete("/rooms/{room}")
@needs(WRITING)
async def delete_room(caller: CallerOf, room: RoomPath) -> Room:
    """Delete a room; refused, with the number, while classes are to come in it."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "room_id": room}
    async with caller.transaction() as tx:
        await places.delete_room(tx, **of, actor=caller.actor, now=caller.now())
        return Room.of(await places.room(tx, **of))


@router.get("/staff")
@needs(READING)
async def list_staff(caller: CallerOf, filters: Annotated[DeletableFilters, Query()]) -> Page[Staff]:
    """List who instructs classes and gives services, newest first."""
    async with caller.transaction() as tx:
        found = await places.staff(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(Staff.of, found.rows)), found.next_after))


@router.post("/staff", status_code=201)
@needs(WRITING)
async def add_staff(caller: CallerOf, new: NewStaff) -> Staff:
    """Add somebody to the staff."""
    async with caller.transaction() as tx:
        staff_id = await places.add_staff(
            tx,
            tenant_id=caller.tenant_id,
            name=new.name,
            about=new.about,
            user_id=new.user,
            teaches=new.teaches,
            actor=caller.actor,
        )
        return Staff.of(await places.person(tx, tenant_id=caller.tenant_id, staff_id=staff_id))


@router.get("/staff/{staff}")
@needs(READING)
async def get_staff(caller: CallerOf, staff: StaffPath) -> Staff:
    """Return one of the staff, a deleted one too."""
    async with caller.transaction() as tx:
        return Staff.of(await places.person(tx, tenant_id=caller.tenant_id, staff_id=staff))


@router.patch("/staff/{staff}")
@needs(WRITING)
async def change_staff(caller: CallerOf, staff: StaffPath, changed: ChangedStaff) -> Staff:
    """Change what is told of somebody."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "staff_id": staff}
    async with caller.transaction() as tx:
        await places.change_staff(tx, **of, changes=changes_of(changed), actor=caller.actor)
        return Staff.of(await places.person(tx, **of))


@router.delete("/staff/{staff}")
@needs(WRITING)
async def delete_staff(caller: CallerOf, staff: StaffPath) -> Staff:
    """Delete somebody from the staff; refused, with the number, while bookings or classes are to come."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "staff_id": staff}
    async with caller.transaction() as tx:
        await places.delete_staff(tx, **of, actor=caller.actor, now=caller.now())
        return Staff.of(await places.person(tx, **of))


def _hours(hours: tuple[opening.Hours, ...]) -> OpeningHours:
    return OpeningHours(
        hours=[HoursOf(weekday=h.weekday, opens_min=h.opens_min, closes_min=h.closes_min) for h in hours]
    )


def _days(days: tuple[opening.ClosedDay, ...]) -> ClosedDays:
    return ClosedDays(days=[ClosedDay(day=each.day, name=each.name) for each in days])
