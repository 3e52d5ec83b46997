"""When somebody of the staff works and when not, by the clock of the wall."""

from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking.schedule import places
from bursar.apps.booking.services import queries, working
from bursar.apps.booking.services.api import READING, WRITING, new_hours
from bursar.apps.booking.services.schemas import WantedHours, WantedTimeOff
from bursar.apps.booking.services.working import NewTimeOff
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.listing import Slice
from bursar.kernel.zones import local_day, time_zone_of
from bursar.web.pages.planning_forms import DAYS, wanted
from bursar.web.pages.reads.planning import choices_of
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

_WORDS: Final = {
    "staff": "Choose somebody of the staff.",
    "venue": "Choose a venue of the list.",
    "weekday": "Choose a day of the week, or give one date.",
    "date": "The date is written like 2026-12-24.",
    "from": "Times are written like 09:00, and those of time off like 2026-12-24T09:00.",
    "until": "Times are written like 17:00, and those of time off like 2026-12-27T00:00; 24:00 is the end of a day.",
    "valid_from": "The first day is a date.",
    "valid_until": "The last day is a date, or empty.",
    "reason": "The reason has at most 500 characters.",
}

Done = Literal["", "added", "deleted"]

router = APIRouter(route_class=PageRoute)


@router.get("/schedule/staff/{staff}")
@needs(READING)
async def one_person(visit: Visiting, staff: str, done: Done = "") -> Response:
    """Show when somebody works, his time off, and the services that he gives."""
    staff_id = ids.parse(ids.STAFF, staff)
    async with visit.open() as page:
        found = await places.person(page.tx, tenant_id=visit.tenant_id, staff_id=staff_id)
        of: dict[str, Any] = {"tenant_id": visit.tenant_id, "given": {"staff": staff_id}}
        hours = await queries.hours(page.tx, **of, page=Slice(working.HOURS_MAX))
        off = await queries.times_off(page.tx, **of, page=Slice(working.HOURS_MAX))
        gives = await queries.services(page.tx, **of, page=Slice(working.HOURS_MAX))
        choices = await choices_of(page.tx, tenant_id=visit.tenant_id)
        return page.answer(
            "planning/person.html",
            person=found,
            staff_id=ids.show(ids.STAFF, staff_id),
            hours=[
                (ids.show(ids.STAFF_HOURS, each.id), each, choices.name(ids.show(ids.VENUE, each.venue)))
                for each in sorted(hours.rows, key=lambda h: (h.weekday or 8, h.valid_from, h.from_))
            ],
            off=[(ids.show(ids.TIME_OFF, each.id), each) for each in sorted(off.rows, key=lambda o: o.from_)],
            gives=[(ids.show(ids.SERVICE, each.id), each.name) for each in gives.rows if not each.deleted_at],
            today=local_day(visit.now, await time_zone_of(page.tx, tenant_id=visit.tenant_id)),
            days=DAYS,
            choices=choices,
            done=done,
        )


@router.post("/schedule/staff/{staff}/hours")
@needs(WRITING)
async def add_hours(visit: Visiting, staff: str) -> Response:
    """Say when somebody works at a venue: on a day of the week, or on one date."""
    staff_id = ids.parse(ids.STAFF, staff)
    fields = await visit.form()
    asked = wanted(WantedHours, fields | {"staff": ids.show(ids.STAFF, staff_id)}, words=_WORDS)
    async with visit.open() as page:
        today = local_day(visit.now, await time_zone_of(page.tx, tenant_id=visit.tenant_id))
        await working.add_hours(
            page.tx, tenant_id=visit.tenant_id, new=new_hours(asked, today=today), actor=visit.actor
        )
    return to(f"/schedule/staff/{ids.show(ids.STAFF, staff_id)}?done=added")


@router.post("/schedule/staff/{staff}/hours/{hours}/delete")
@needs(WRITING)
async def drop_hours(visit: Visiting, staff: str, hours: str) -> Response:
    """Take working hours away; appointments in them stay."""
    staff_id, hours_id = ids.parse(ids.STAFF, staff), ids.parse(ids.STAFF_HOURS, hours)
    await visit.form()
    async with visit.open() as page:
        await working.end_hours(page.tx, tenant_id=visit.tenant_id, hours_id=hours_id, actor=visit.actor, now=visit.now)
    return to(f"/schedule/staff/{ids.show(ids.STAFF, staff_id)}?done=deleted")


@router.post("/schedule/staff/{staff}/time-off")
@needs(WRITING)
async def add_time_off(visit: Visiting, staff: str) -> Response:
    """Say when somebody does not work; appointments that there are stay."""
    staff_id = ids.parse(ids.STAFF, staff)
    asked = wanted(WantedTimeOff, await visit.form() | {"staff": ids.show(ids.STAFF, staff_id)}, words=_WORDS)
    async with visit.open() as page:
        zone = (await time_zone_of(page.tx, tenant_id=visit.tenant_id)).key
        await working.add_time_off(
            page.tx,
            tenant_id=visit.tenant_id,
            new=NewTimeOff(staff_id, asked.venue, asked.from_, asked.until, asked.reason or ""),
            business_zone=zone,
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/schedule/staff/{ids.show(ids.STAFF, staff_id)}?done=added")


@router.post("/schedule/staff/{staff}/time-off/{time_off}/delete")
@needs(WRITING)
async def drop_time_off(visit: Visiting, staff: str, time_off: str) -> Response:
    """Take time off back."""
    staff_id, off_id = ids.parse(ids.STAFF, staff), ids.parse(ids.TIME_OFF, time_off)
    await visit.form()
    async with visit.open() as page:
        await working.end_time_off(page.tx, tenant_id=visit.tenant_id, off_id=off_id, actor=visit.actor, now=visit.now)
    return to(f"/schedule/staff/{ids.show(ids.STAFF, staff_id)}?done=deleted")
