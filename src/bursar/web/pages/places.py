"""Where classes take place and who instructs them: venues with their zone and hours, rooms, staff."""

from datetime import date
from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking.schedule import add_room, add_staff, add_venue, opening, places
from bursar.apps.booking.schedule.places_api import READING, WRITING
from bursar.apps.booking.schedule.schemas import ChangedVenue, NewRoom, NewStaff, NewVenue, changes_of
from bursar.apps.booking.schedule.taxes import Tax
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.zones import time_zone_of, zone_names
from bursar.web.pages.planning_forms import DAYS, ScheduleFormInvalid, wanted
from bursar.web.pages.reads.planning import choices_of
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

_HOUR_MIN: Final = 60
_DAY_MIN: Final = 24 * _HOUR_MIN
_TIME_LENGTH: Final = 5
_CLOSED_MAX: Final = 400

Done = Literal["", "added", "deleted", "hours", "tax"]

router = APIRouter(route_class=PageRoute)


@router.get("/schedule/places")
@needs(READING)
async def all_places(visit: Visiting, done: Done = "") -> Response:
    """Show venues with their rooms, and the staff."""
    async with visit.open() as page:
        return page.answer(
            "planning/places.html",
            choices=await choices_of(page.tx, tenant_id=visit.tenant_id),
            zones=zone_names(),
            zone=(await time_zone_of(page.tx, tenant_id=visit.tenant_id)).key,
            done=done,
        )


@router.post("/schedule/places/venues")
@needs(WRITING)
async def new_venue(visit: Visiting) -> Response:
    """Add a venue."""
    new = wanted(NewVenue, await visit.form())
    async with visit.open() as page:
        await add_venue(page.tx, tenant_id=visit.tenant_id, actor=visit.actor, **new.model_dump())
    return to("/schedule/places?done=added")


@router.post("/schedule/places/rooms")
@needs(WRITING)
async def new_room(visit: Visiting) -> Response:
    """Add a room to a venue."""
    new = wanted(NewRoom, await visit.form())
    async with visit.open() as page:
        await add_room(
            page.tx,
            tenant_id=visit.tenant_id,
            venue_id=new.venue,
            name=new.name,
            capacity=new.capacity,
            actor=visit.actor,
        )
    return to("/schedule/places?done=added")


@router.post("/schedule/places/staff")
@needs(WRITING)
async def new_person(visit: Visiting) -> Response:
    """Add somebody to the staff."""
    new = wanted(NewStaff, await visit.form())
    async with visit.open() as page:
        await add_staff(
            page.tx,
            tenant_id=visit.tenant_id,
            name=new.name,
            about=new.about,
            user_id=None,
            teaches=new.teaches,
            actor=visit.actor,
        )
    return to("/schedule/places?done=added")


@router.get("/schedule/places/venues/{venue}")
@needs(READING)
async def venue_page(visit: Visiting, venue: str, done: Done = "") -> Response:
    """Show when a venue is open, and the form that says so."""
    venue_id = ids.parse(ids.VENUE, venue)
    async with visit.open() as page:
        found = await places.venue(page.tx, tenant_id=visit.tenant_id, venue_id=venue_id)
        hours = await opening.hours_of(page.tx, tenant_id=visit.tenant_id, venue_id=venue_id)
        closed = await opening.closed_days_of(page.tx, tenant_id=visit.tenant_id, venue_id=venue_id)
        first = {each.weekday: each for each in reversed(hours)}
        return page.answer(
            "planning/venue.html",
            venue=found,
            tax_told=Tax(found["tax_bp"], found["tax_included"]).told,
            venue_id=ids.show(ids.VENUE, venue_id),
            days=[
                (
                    n,
                    word,
                    _clock(first[n].opens_min) if n in first else "",
                    _clock(first[n].closes_min) if n in first else "",
                )
                for n, word in enumerate(DAYS, 1)
            ],
            closed=closed,
            is_split=len(hours) > len(first),
            done=done,
        )


@router.post("/schedule/places/venues/{venue}/hours")
@needs(WRITING)
async def set_hours(visit: Visiting, venue: str) -> Response:
    """Let a venue be open so from now on, and closed on these days."""
    venue_id = ids.parse(ids.VENUE, venue)
    fields = await visit.form()
    hours = [each for n, word in enumerate(DAYS, 1) if (each := _hours(fields, n, word))]
    closed = _days(fields.get("closed", ""))
    of: dict[str, Any] = {"tenant_id": visit.tenant_id, "venue_id": venue_id}
    async with visit.open() as page:
        await opening.set_hours(page.tx, **of, hours=hours, actor=visit.actor)
        named = {each.day: each.name for each in await opening.closed_days_of(page.tx, **of)}
        days = [opening.ClosedDay(day, named.get(day, "")) for day in closed]
        await opening.set_closed_days(page.tx, **of, days=days, actor=visit.actor)
    return to(f"/schedule/places/venues/{ids.show(ids.VENUE, venue_id)}?done=hours")


@router.post("/schedule/places/venues/{venue}/tax")
@needs(WRITING)
async def set_tax(visit: Visiting, venue: str) -> Response:
    """Tax seats so that are booked from now on."""
    venue_id = ids.parse(ids.VENUE, venue)
    fields = await visit.form()
    changed = wanted(ChangedVenue, {name: fields[name] for name in ("tax_bp", "tax_on_top") if name in fields})
    of: dict[str, Any] = {"tenant_id": visit.tenant_id, "venue_id": venue_id}
    async with visit.open() as page:
        await places.change_venue(page.tx, **of, changes=changes_of(changed), actor=visit.actor, now=visit.now)
    return to(f"/schedule/places/venues/{ids.show(ids.VENUE, venue_id)}?done=tax")


@router.post("/schedule/places/venues/{venue}/delete")
@needs(WRITING)
async def drop_venue(visit: Visiting, venue: str) -> Response:
    """Delete a venue with its rooms."""
    venue_id = ids.parse(ids.VENUE, venue)
    await visit.form()
    async with visit.open() as page:
        await places.delete_venue(
            page.tx, tenant_id=visit.tenant_id, venue_id=venue_id, actor=visit.actor, now=visit.now
        )
    return to("/schedule/places?done=deleted")


@router.post("/schedule/places/rooms/{room}/delete")
@needs(WRITING)
async def drop_room(visit: Visiting, room: str) -> Response:
    """Delete a room."""
    room_id = ids.parse(ids.ROOM, room)
    await visit.form()
    async with visit.open() as page:
        await places.delete_room(page.tx, tenant_id=visit.tenant_id, room_id=room_id, actor=visit.actor, now=visit.now)
    return to("/schedule/places?done=deleted")


@router.post("/schedule/places/staff/{staff}/delete")
@needs(WRITING)
async def drop_person(visit: Visiting, staff: str) -> Response:
    """Delete somebody from the staff."""
    staff_id = ids.parse(ids.STAFF, staff)
    await visit.form()
    async with visit.open() as page:
        await places.delete_staff(
            page.tx, tenant_id=visit.tenant_id, staff_id=staff_id, actor=visit.actor, now=visit.now
        )
    return to("/schedule/places?done=deleted")


def _hours(fields: dict[str, str], weekday: int, word: str) -> opening.Hours | None:
    opens, closes = (fields.get(f"{name} {weekday}", "").strip() for name in ("opens", "closes"))
    if not opens and not closes:
        return None
    first, last = _minutes(opens, word), _minutes(closes, word)
    return opening.Hours(weekday, first, last if last > first else last + _DAY_MIN)


def _minutes(text: str, word: str) -> int:
    hour, _, minute = text.partition(":")
    if len(text) == _TIME_LENGTH and (hour + minute).isascii() and (hour + minute).isdigit():
        minutes = int(hour) * _HOUR_MIN + int(minute)
        if int(minute) < _HOUR_MIN and minutes < _DAY_MIN:
            return minutes
    raise ScheduleFormInvalid(f"{word}: times are written like 09:00, both or neither.", hint="Go back and correct it.")


def _days(text: str) -> list[date]:
    try:
        return [date.fromisoformat(day) for day in dict.fromkeys(text.replace(",", " ").split())][:_CLOSED_MAX]
    except ValueError as error:
        raise ScheduleFormInvalid(
            "Days are written like 2026-12-25, with a space between them.", hint="Go back and correct it."
        ) from error


def _clock(minutes: int) -> str:
    return f"{minutes // _HOUR_MIN % 24:02}:{minutes % _HOUR_MIN:02}"
