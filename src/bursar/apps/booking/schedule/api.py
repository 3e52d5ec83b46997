"""Routes of class templates, classes and what stands in their way."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.schedule import editing
from bursar.apps.booking.schedule import settings as choices
from bursar.apps.booking.schedule import templates as recurring
from bursar.apps.booking.schedule.classes import class_of, classes
from bursar.apps.booking.schedule.conflicts import clashes_between
from bursar.apps.booking.schedule.schemas import (
    ChangedClass,
    ChangedTemplate,
    NewClass,
    NewTemplate,
    ScheduleDay,
    ShownClass,
    ShownTemplate,
    Split,
    Warned,
    changes_of,
    values_of,
)
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import DeletableFilters, Filters, Input, Instant, Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import ClassId, ClassTemplateId, RoomId, StaffId, VenueId
from bursar.kernel.listing import Part

READING: Final = "schedule:read"
WRITING: Final = "schedule:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["schedule"])

TemplatePath = Annotated[ClassTemplateId, Path()]


class TemplateFilters(DeletableFilters):
    venue: VenueId | None = None
    staff: StaffId | None = None
    is_published: bool | None = None


class ClassFilters(PageFilters):
    venue: VenueId | None = None
    room: RoomId | None = None
    staff: StaffId | None = None
    template: ClassTemplateId | None = None
    status: Literal["scheduled", "cancelled"] | None = None
    is_published: bool | None = None
    since: ScheduleDay | None = Field(default=None, description="From this day on, in the venue's zone.")
    until: ScheduleDay | None = Field(default=None, description="Before this day, in the venue's zone.")


class Period(Filters):
    since: Instant | None = Field(default=None, description="Left out: now.")
    until: Instant | None = Field(default=None, description="Left out: as far ahead as classes are made.")


class Conflicts(View):
    data: list[Warned]


class WantedSettings(Input):
    weeks_ahead: int = Field(strict=True, ge=1, le=choices.WEEKS_MAX, description="So far ahead rules make classes.")


class ScheduleSettings(View):
    """What a business chose about its schedule."""

    weeks_ahead: int
    zone_version: str | None = Field(
        description="Of the zone database by which classes were last placed. Null: not yet."
    )


@router.get("/class-templates")
@needs(READING)
async def list_class_templates(caller: CallerOf, filters: Annotated[TemplateFilters, Query()]) -> Page[ShownTemplate]:
    """List class templates, newest first."""
    async with caller.transaction() as tx:
        found = await recurring.templates(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(ShownTemplate.shown, found.rows)), found.next_after))


@router.post("/class-templates", status_code=201)
@needs(WRITING)
async def add_class_template(caller: CallerOf, new: NewTemplate) -> ShownTemplate:
    """Add a class template, and make its classes of the weeks ahead."""
    async with caller.transaction() as tx:
        made = await recurring.add_template(
            tx, tenant_id=caller.tenant_id, values=values_of(new), actor=caller.actor, now=caller.now()
        )
    return ShownTemplate.shown(made.template, made.warnings)


@router.get("/class-templates/{template}")
@needs(READING)
async def get_class_template(caller: CallerOf, template: TemplatePath) -> ShownTemplate:
    """Return one class template, a deleted one too."""
    async with caller.transaction() as tx:
        return ShownTemplate.shown(await recurring.template_of(tx, tenant_id=caller.tenant_id, template_id=template))


@router.patch("/class-templates/{template}")
@needs(WRITING)
async def change_class_template(caller: CallerOf, template: TemplatePath, changed: ChangedTemplate) -> ShownTemplate:
    """Change a template and all its classes to come, but for those that were changed alone.

    Refused, with the number, where somebody booked a class that would move or vanish.
    """
    async with caller.transaction() as tx:
        became = await recurring.change_template(
            tx,
            tenant_id=caller.tenant_id,
            template_id=template,
            changes=changes_of(changed),
            actor=caller.actor,
            now=caller.now(),
        )
    return ShownTemplate.shown(became.template, became.warnings)


@router.delete("/class-templates/{template}")
@needs(WRITING)
async def delete_class_template(caller: CallerOf, template: TemplatePath) -> ShownTemplate:
    """Delete a template with its classes to come; refused, with the number, while somebody booked one."""
    of: dict[str, Any] = {"tenant_id": caller.tenant_id, "template_id": template}
    async with caller.transaction() as tx:
        await recurring.delete_template(tx, **of, actor=caller.actor, now=caller.now())
        return ShownTemplate.shown(await recurring.template_of(tx, **of))


@router.post("/class-templates/{template}/splits", status_code=201)
@needs(WRITING)
async def split_class_template(caller: CallerOf, template: TemplatePath, split: Split) -> ShownTemplate:
    """Change this class and all that follow: the template ends before that day, and another one takes over. Return the other one."""
    async with caller.transaction() as tx:
        following = await recurring.split_template(
            tx,
            tenant_id=caller.tenant_id,
            template_id=template,
            from_day=split.from_day,
            changes=changes_of(split, without=("from_day",)),
            actor=caller.actor,
            now=caller.now(),
        )
    return ShownTemplate.shown(following.template, following.warnings)


@router.get("/classes")
@needs(READING)
async def list_classes(caller: CallerOf, filters: Annotated[ClassFilters, Query()]) -> Page[ShownClass]:
    """List classes with the seats left in each, those first that begin first."""
    async with caller.transaction() as tx:
        found = await classes(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(ShownClass.shown, found.rows)), found.next_after))


@router.post("/classes", status_code=201)
@needs(WRITING)
async def add_class(caller: CallerOf, new: NewClass) -> ShownClass:
    """Add a class that does not recur."""
    async with caller.transaction() as tx:
        added = await editing.add_class(
            tx,
            tenant_id=caller.tenant_id,
            values=values_of(new, without=("duration_min",)),
            duration_min=new.duration_min,
            actor=caller.actor,
            now=caller.now(),
        )
    return ShownClass.shown(added.instance, added.warnings)


@router.get("/classes/{class}")
@needs(READING)
async def get_class(caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")]) -> ShownClass:
    """Return one class."""
    async with caller.transaction() as tx:
        return ShownClass.shown(await class_of(tx, tenant_id=caller.tenant_id, class_id=class_id))


@router.patch("/classes/{class}")
@needs(WRITING)
async def change_class(
    caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")], changed: ChangedClass
) -> ShownClass:
    """Change one class alone. Refused where somebody booked it and it would move."""
    async with caller.transaction() as tx:
        became = await editing.edit_class(
            tx,
            tenant_id=caller.tenant_id,
            class_id=class_id,
            changes=changes_of(changed, without=("allows_overbooked",)),
            actor=caller.actor,
            now=caller.now(),
            allows_overbooked=changed.allows_overbooked,
        )
    return ShownClass.shown(became.instance, became.warnings)


@router.delete("/classes/{class}", status_code=204)
@needs(WRITING)
async def delete_class(caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")]) -> None:
    """Delete a class that nobody booked; its rule does not make it again. One that was booked is cancelled instead."""
    async with caller.transaction() as tx:
        await editing.delete_class(
            tx, tenant_id=caller.tenant_id, class_id=class_id, actor=caller.actor, now=caller.now()
        )


@router.get("/schedule-conflicts")
@needs(READING)
async def list_schedule_conflicts(caller: CallerOf, period: Annotated[Period, Query()]) -> Conflicts:
    """List what stands in the way of classes to come: rooms and instructors taken twice, closed venues; at most 200."""
    since = period.since or caller.now()
    async with caller.transaction() as tx:
        settings = await choices.settings_of(tx, tenant_id=caller.tenant_id)
        until = period.until or caller.now() + timedelta(weeks=settings.weeks_ahead)
        found = await clashes_between(tx, tenant_id=caller.tenant_id, since=since, until=until)
    return Conflicts(data=[Warned.told(each) for each in found])


@router.get("/schedule-settings")
@needs(READING)
async def get_schedule_settings(caller: CallerOf) -> ScheduleSettings:
    """Show what the business chose about its schedule."""
    async with caller.transaction() as tx:
        return _settings(await choices.settings_of(tx, tenant_id=caller.tenant_id))


@router.put("/schedule-settings")
@needs(WRITING)
async def put_schedule_settings(caller: CallerOf, wanted: WantedSettings) -> ScheduleSettings:
    """Set how far ahead rules make classes. What is missing is made the next night; nothing that is there goes."""
    async with caller.transaction() as tx:
        return _settings(
            await choices.set_weeks_ahead(tx, tenant_id=caller.tenant_id, weeks=wanted.weeks_ahead, actor=caller.actor)
        )


def _settings(settings: choices.ScheduleSettings) -> ScheduleSettings:
    return ScheduleSettings(weeks_ahead=settings.weeks_ahead, zone_version=settings.zone_version)
