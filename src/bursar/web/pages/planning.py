"""The schedule's pages: the classes of a week, one class, what recurs, and its change from now or from a day on."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path
from starlette.responses import Response

from bursar.apps.booking.bookings import cancel_class, change_class
from bursar.apps.booking.people import front_path
from bursar.apps.booking.schedule import (
    ClassInstance,
    Edited,
    Template,
    add_class,
    add_template,
    change_template,
    clashes_between,
    class_of,
    classes,
    delete_class,
    delete_template,
    edit_class,
    split_template,
    template_of,
    times,
)
from bursar.apps.booking.schedule.api import READING, WRITING
from bursar.apps.booking.schedule.schemas import (
    ChangedClass,
    ChangedTemplate,
    NewClass,
    NewTemplate,
    Split,
    changes_of,
    values_of,
)
from bursar.apps.booking.schedule.templates import templates
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.listing import ASKED, Slice
from bursar.kernel.permissions import require
from bursar.kernel.zones import local_day, time_zone_of
from bursar.web.pages.paging import Before
from bursar.web.pages.planning_forms import WEEKDAYS, Repeats, repeats_of, rule_in, wanted
from bursar.web.pages.reads.planning import choices_of, days_around
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Page, Visit, Visiting, to

_WEEK: Final = timedelta(days=7)
_SHOWN: Final = 200
_FIRST_DAY, _LAST_DAY = date(2000, 1, 10), date(2199, 12, 20)

Done = Literal["", "added", "changed", "cancelled", "deleted", "split"]
_REASON_MAX: Final = 500

router = APIRouter(route_class=PageRoute)


@router.get("/schedule/week")
@needs(READING)
async def week(visit: Visiting, day: date | None = None, venue: str = "", done: Done = "") -> Response:
    """Show the classes of the week of a day, with the seats left in each, and what stands in the way of those to come."""
    venue_id = ids.parse(ids.VENUE, venue) if venue else None
    async with visit.open() as page:
        today = local_day(visit.now, await time_zone_of(page.tx, tenant_id=visit.tenant_id))
        shown = min(max(day or today, _FIRST_DAY), _LAST_DAY)
        monday = shown - timedelta(days=shown.weekday())
        given: dict[str, Any] = {"since": monday, "until": monday + _WEEK} | ({"venue": venue_id} if venue_id else {})
        found = await classes(page.tx, tenant_id=visit.tenant_id, page=Slice(_SHOWN), given=given)
        clashes = await clashes_between(
            page.tx, tenant_id=visit.tenant_id, since=visit.now, until=visit.now + 8 * _WEEK
        )
        earlier, later = await days_around(
            page.tx, tenant_id=visit.tenant_id, monday=monday, after=monday + _WEEK, venue_id=venue_id
        )
        by_day = [(d, list(of)) for d, of in groupby(sorted(found.rows, key=_order), key=lambda c: c.local_date)]
        return page.answer(
            "planning/week.html",
            days=by_day,
            is_cut=found.next_after is not None,
            monday=monday,
            sunday=monday + _WEEK - timedelta(days=1),
            before=earlier,
            after=later,
            today=today,
            venue=venue,
            clashes=clashes[:20],
            clashes_more=max(len(clashes) - 20, 0),
            choices=await choices_of(page.tx, tenant_id=visit.tenant_id),
            class_ref=_class_ref,
            place=_place,
            clock=times.clock,
            front=front_path(visit.tenant_id),
            done=done,
        )


@router.get("/schedule/classes/new")
@needs(WRITING)
async def class_form(visit: Visiting, day: date | None = None) -> Response:
    """Ask what class there is to be, once."""
    async with visit.open() as page:
        return await _form(page, visit, "planning/new.html", what=None, recurs=False, day=day, repeats=Repeats())


@router.post("/schedule/classes/new")
@needs(WRITING)
async def new_class(visit: Visiting) -> Response:
    """Add a class that does not recur."""
    fields = await visit.form()
    new = wanted(NewClass, fields)
    async with visit.open() as page:
        added = await add_class(
            page.tx,
            tenant_id=visit.tenant_id,
            values=values_of(new, without=("duration_min",)),
            duration_min=new.duration_min,
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/schedule/classes/{_class_ref(added.instance)}?done=added")


@router.get("/schedule/classes/{class}")
@needs(READING)
async def one_class(visit: Visiting, class_ref: Annotated[str, Path(alias="class")], done: Done = "") -> Response:
    """Show one class, and the form that changes it alone."""
    class_id = ids.parse(ids.CLASS, class_ref)
    async with visit.open() as page:
        found = await class_of(page.tx, tenant_id=visit.tenant_id, class_id=class_id)
        return await _form(
            page,
            visit,
            "planning/class.html",
            what=found,
            recurs=False,
            day=found.local_date,
            repeats=Repeats(),
            class_id=_class_ref(found),
            template_id=ids.show(ids.CLASS_TEMPLATE, found.template_id) if found.template_id else "",
            begins=times.told(found.starts_at, found.time_zone),
            is_open=found.status == "scheduled" and found.starts_at > visit.now,
            front=front_path(visit.tenant_id),
            done=done,
        )


@router.post("/schedule/classes/{class}")
@needs(WRITING)
async def change_one(visit: Visiting, class_ref: Annotated[str, Path(alias="class")]) -> Response:
    """Change one class alone; with those who booked it, where the form says so."""
    class_id = ids.parse(ids.CLASS, class_ref)
    fields = await visit.form()
    changed = wanted(ChangedClass, fields)
    change: Callable[..., Awaitable[Edited]] = edit_class
    if fields.get("moves_bookings") == "on":
        require(visit.principal.permissions, "bookings:write")
        change = change_class
    async with visit.open() as page:
        await change(
            page.tx,
            tenant_id=visit.tenant_id,
            class_id=class_id,
            changes=changes_of(changed, without=("allows_overbooked",)),
            actor=visit.actor,
            now=visit.now,
            allows_overbooked=changed.allows_overbooked,
        )
    return to(f"/schedule/classes/{ids.show(ids.CLASS, class_id)}?done=changed")


@router.post("/schedule/classes/{class}/delete")
@needs(WRITING)
async def delete_one(visit: Visiting, class_ref: Annotated[str, Path(alias="class")]) -> Response:
    """Delete a class that nobody booked."""
    class_id = ids.parse(ids.CLASS, class_ref)
    await visit.form()
    async with visit.open() as page:
        await delete_class(page.tx, tenant_id=visit.tenant_id, class_id=class_id, actor=visit.actor, now=visit.now)
    return to("/schedule/week?done=deleted")


@router.post("/schedule/classes/{class}/cancel")
@needs("bookings:write")
async def cancel_one(visit: Visiting, class_ref: Annotated[str, Path(alias="class")]) -> Response:
    """Cancel a class: everybody gets everything back, and is told why."""
    class_id = ids.parse(ids.CLASS, class_ref)
    reason = printable((await visit.form()).get("reason", ""))[:_REASON_MAX] or None
    async with visit.open() as page:
        await cancel_class(
            page.tx, tenant_id=visit.tenant_id, class_id=class_id, reason=reason, actor=visit.actor, now=visit.now
        )
    return to(f"/schedule/classes/{ids.show(ids.CLASS, class_id)}?done=cancelled")


@router.get("/schedule/templates")
@needs(READING)
async def recurring(visit: Visiting, done: Done = "", before_id: Before = None) -> Response:
    """Show what recurs, newest first."""
    after = ids.parse(ids.CLASS_TEMPLATE, before_id) if before_id else None
    async with visit.open() as page:
        found = await templates(page.tx, tenant_id=visit.tenant_id, page=Slice(50, after), given={"present": ASKED})
        return page.answer(
            "planning/templates.html",
            templates=[(ids.show(ids.CLASS_TEMPLATE, t.id), t, often(t)) for t in found.rows],
            after=ids.show(ids.CLASS_TEMPLATE, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            choices=await choices_of(page.tx, tenant_id=visit.tenant_id),
            place=_place,
            done=done,
        )


@router.get("/schedule/templates/new")
@needs(WRITING)
async def template_form(visit: Visiting) -> Response:
    """Ask what is to recur."""
    async with visit.open() as page:
        return await _form(page, visit, "planning/new.html", what=None, recurs=True, day=None, repeats=Repeats())


@router.post("/schedule/templates/new")
@needs(WRITING)
async def new_template(visit: Visiting) -> Response:
    """Add what recurs, with its classes of the weeks ahead."""
    fields = await visit.form()
    new = wanted(NewTemplate, fields | {"rrule": rule_in(fields)})
    async with visit.open() as page:
        shaped = await add_template(
            page.tx,
            tenant_id=visit.tenant_id,
            values=values_of(new),
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/schedule/templates/{_template_ref(shaped.template)}?done=added")


@router.get("/schedule/templates/{template}")
@needs(READING)
async def one_template(
    visit: Visiting, template_ref: Annotated[str, Path(alias="template")], done: Done = "", from_day: str = ""
) -> Response:
    """Show what recurs with its classes to come, and the form that changes all of them, or those from a day on."""
    template_id = ids.parse(ids.CLASS_TEMPLATE, template_ref)
    async with visit.open() as page:
        found = await template_of(page.tx, tenant_id=visit.tenant_id, template_id=template_id)
        ahead = {"template": template_id, "starts_since": visit.now, "status": "scheduled"}
        coming = await classes(page.tx, tenant_id=visit.tenant_id, page=Slice(60), given=ahead)
        return await _form(
            page,
            visit,
            "planning/template.html",
            what=found,
            recurs=True,
            day=found.starts_on,
            repeats=repeats_of(found.rrule),
            template_id=_template_ref(found),
            follows_id=ids.show(ids.CLASS_TEMPLATE, found.follows_id) if found.follows_id else "",
            often=often(found),
            coming=[(_class_ref(c), c, times.told(c.starts_at, c.time_zone)) for c in coming.rows],
            from_day=from_day,
            done=done,
        )


@router.post("/schedule/templates/{template}")
@needs(WRITING)
async def change_all(visit: Visiting, template_ref: Annotated[str, Path(alias="template")]) -> Response:
    """Change all classes to come, or those from a day on."""
    template_id = ids.parse(ids.CLASS_TEMPLATE, template_ref)
    fields = await visit.form()
    stated = fields | {"rrule": rule_in(fields)}
    by: dict[str, Any] = {
        "actor": visit.actor,
        "now": visit.now,
        "tenant_id": visit.tenant_id,
        "template_id": template_id,
    }
    async with visit.open() as page:
        if fields.get("from_day"):
            split = wanted(
                Split,
                _told_apart(stated, await template_of(page.tx, tenant_id=visit.tenant_id, template_id=template_id)),
            )
            changes = changes_of(split, without=("from_day",))
            shaped = await split_template(page.tx, **by, from_day=split.from_day, changes=changes)
            return to(f"/schedule/templates/{_template_ref(shaped.template)}?done=split")
        changed = wanted(ChangedTemplate, stated)
        await change_template(page.tx, **by, changes=changes_of(changed))
    return to(f"/schedule/templates/{ids.show(ids.CLASS_TEMPLATE, template_id)}?done=changed")


@router.post("/schedule/templates/{template}/delete")
@needs(WRITING)
async def delete_all(visit: Visiting, template_ref: Annotated[str, Path(alias="template")]) -> Response:
    """Delete what recurs with its classes to come."""
    template_id = ids.parse(ids.CLASS_TEMPLATE, template_ref)
    await visit.form()
    async with visit.open() as page:
        await delete_template(
            page.tx, tenant_id=visit.tenant_id, template_id=template_id, actor=visit.actor, now=visit.now
        )
    return to("/schedule/templates?done=deleted")


async def _form(page: Page, visit: Visit, template: str, **views: Any) -> Response:
    choices = await choices_of(page.tx, tenant_id=visit.tenant_id)
    return page.answer(template, choices=choices, weekdays=WEEKDAYS, chosen=_chosen, **views)


def _told_apart(fields: dict[str, str], before: Template) -> dict[str, str]:
    """Return the form without a rule that is as it was: what follows goes on with what is left of it."""
    return {name: text for name, text in fields.items() if name != "rrule" or text != (before.rrule or "")}


def often(template: Template) -> str:
    """Return in words how often something takes place."""
    if template.rrule is None:
        return f"once, on {template.starts_on}"
    if template.rrule == "FREQ=DAILY":
        return "every day"
    repeats = repeats_of(template.rrule)
    if not repeats.days:
        return template.rrule
    every = "every week" if repeats.every == 1 else f"every {repeats.every} weeks"
    return f"{every} on {', '.join(WEEKDAYS[day] for day in repeats.days)}"


def _chosen(what: ClassInstance | Template | None, name: str) -> str:
    """Return the public id of what a class or template consists of, for a form that offers it."""
    value = getattr(what, f"{name}_id", None) if what else None
    prefixes = {
        "venue": ids.VENUE,
        "room": ids.ROOM,
        "staff": ids.STAFF,
        "policy": ids.BOOKING_POLICY,
        "price": ids.PRICE,
    }
    return ids.show(prefixes[name], value) if value else ""


def _place(what: ClassInstance | Template) -> tuple[str, str, str]:
    return _chosen(what, "venue"), _chosen(what, "room"), _chosen(what, "staff")


def _order(instance: ClassInstance) -> tuple[date, object, object]:
    return instance.local_date, instance.starts_at, instance.id


def _class_ref(instance: ClassInstance) -> str:
    return ids.show(ids.CLASS, instance.id)


def _template_ref(template: Template) -> str:
    return ids.show(ids.CLASS_TEMPLATE, template.id)
