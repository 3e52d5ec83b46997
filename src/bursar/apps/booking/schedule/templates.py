"""Templates: add one, change it from now on, let another follow from a day on, delete it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule.conflicts import Clash, lock_places, require_free
from bursar.apps.booking.schedule.materialising import TEMPLATE_COLUMNS, materialise, template_from
from bursar.apps.booking.schedule.models import Template
from bursar.apps.booking.schedule.parts import require_parts, with_capacity
from bursar.apps.booking.schedule.recurrence import RecurrenceInvalid, rule_of
from bursar.apps.booking.schedule.refusals import NotAClassDay, TemplateDeleted, TemplateNotFound, have_bookings
from bursar.apps.booking.schedule.reshaping import delete_from, future_of, reparent, reshape
from bursar.apps.booking.schedule.settings import settings_of
from bursar.apps.booking.schedule.telling import plain, record_and_tell
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.zones import local_day, zone_named

LOOKED_AHEAD: Final = timedelta(days=366 * 9)
"""A rule that falls on no day for so long is taken for a mistake."""

_NOT_SET: Final = {"id", "materialised_through", "version", "deleted_at", "created_at"}
_SET: Final = tuple(field.name for field in fields(Template) if field.name not in _NOT_SET)


@dataclass(frozen=True, slots=True)
class Shaped:
    """A template as it became. warnings: what the business is only warned of. classes: how many were made."""

    template: Template
    warnings: tuple[Clash, ...]
    classes: int


TEMPLATES = Listing(
    select=f"select {TEMPLATE_COLUMNS} from class_template t",
    tenant="t.tenant_id",
    key="t.id",
    filters={
        "venue": "t.venue_id = {}",
        "staff": "t.staff_id = {}",
        "is_published": "t.is_published = {}",
        "present": "t.deleted_at is null",
    },
    refers={"venue": "venue", "staff": "staff"},
)

_ONE = f"select {TEMPLATE_COLUMNS} from class_template t where t.tenant_id = $1 and t.id = $2"
_LOCKED = f"{_ONE} for no key update"
_LIVE = f"""
select {TEMPLATE_COLUMNS} from class_template t
where t.tenant_id = $1 and t.deleted_at is null and (t.ends_on is null or t.ends_on >= $2) order by t.id
"""
_VALUES: Final = ", ".join(
    f"${place}::text::jsonb" if name == "requirements" else f"${place}" for place, name in enumerate(_SET, 3)
)
_ADD = f"insert into class_template (tenant_id, id, {', '.join(_SET)}) values ($1, $2, {_VALUES})"
_CHANGE = f"update class_template set ({', '.join(_SET)}, version) = ({_VALUES}, version + 1) where tenant_id = $1 and id = $2"
_DELETE = "update class_template set deleted_at = $3, version = version + 1 where tenant_id = $1 and id = $2"


async def templates(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Template]:
    """Return templates, newest first. Raises FilterNotFound."""
    return await part(tx, TEMPLATES, tenant_id=tenant_id, given=given, page=page, view=template_from)


async def live_templates(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[Template, ...]:
    """Return the templates that may still make classes."""
    return tuple(map(template_from, await tx.fetch(_LIVE, tenant_id, (now - timedelta(days=1)).date())))


async def template_of(tx: Transaction, *, tenant_id: UUID, template_id: UUID, lock: bool = False) -> Template:
    """Return one template, deleted ones too. Raises TemplateNotFound."""
    row = await tx.fetchrow(_LOCKED if lock else _ONE, tenant_id, template_id)
    if row is None:
        raise TemplateNotFound(
            f"there is no class template {ids.show(ids.CLASS_TEMPLATE, template_id)}",
            hint="See GET /v1/class-templates.",
        )
    return template_from(row)


async def add_template(
    tx: Transaction, *, tenant_id: UUID, values: Mapping[str, Any], actor: str, now: datetime
) -> Shaped:
    """Add a template with its classes of the weeks ahead. values: by column; `time_zone` is the venue's, a capacity of None the room's.

    Raises CapacityMissing, VenueNotFound, RoomNotFound, StaffNotFound, PriceNotFound, PolicyNotFound, PlaceDeleted, RoomElsewhere,
    RecurrenceInvalid, ScheduleRuleBroken.
    """
    values = await with_capacity(tx, tenant_id=tenant_id, values=values)
    venue = await require_parts(tx, tenant_id=tenant_id, values=values)
    new = Template(
        id=ids.new(),
        time_zone=venue["time_zone"],
        materialised_through=None,
        follows_id=None,
        version=1,
        deleted_at=None,
        created_at=now,
        **values,
    )
    _require_days(new)
    await _write(tx, _ADD, tenant_id, new)
    return await _shaped(tx, tenant_id, new, actor, now, topic="class_template.added", changes=plain(new))


async def change_template(
    tx: Transaction, *, tenant_id: UUID, template_id: UUID, changes: Mapping[str, Any], actor: str, now: datetime
) -> Shaped:
    """Change a template and its classes to come that were not edited alone.

    Raises as `add_template`, and TemplateNotFound, TemplateDeleted, ClassesHaveBookings, CapacityBelowBooked.
    """
    before = await _present(tx, tenant_id, template_id)
    after = await _changed(tx, tenant_id, before, changes)
    if after == before:
        return Shaped(before, (), 0)
    _require_days(after)
    await _write(tx, _CHANGE, tenant_id, after)
    await reshape(tx, tenant_id=tenant_id, before=before, after=after, since=date.min, now=now)
    told = audit.changed(plain(before), plain(after))
    return await _shaped(tx, tenant_id, after, actor, now, topic="class_template.changed", changes=told)


async def split_template(
    tx: Transaction,
    *,
    tenant_id: UUID,
    template_id: UUID,
    from_day: date,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> Shaped:
    """Let another template follow from one of the days on, with changes; classes from then on are its own, and keep who booked them.

    Raises as `change_template`, and NotAClassDay.
    """
    before = await _present(tx, tenant_id, template_id)
    rest = _rest_of(before, from_day, now)
    following = replace(
        await _changed(tx, tenant_id, before, rest | dict(changes)), id=ids.new(), follows_id=before.id, version=1
    )
    _require_days(following)
    await _write(tx, _ADD, tenant_id, following)
    await _write(tx, _CHANGE, tenant_id, replace(before, ends_on=from_day - timedelta(days=1)))
    await reparent(tx, tenant_id=tenant_id, old=before.id, new=following.id, since=from_day)
    await reshape(
        tx,
        tenant_id=tenant_id,
        before=replace(before, ends_on=following.ends_on),
        after=following,
        since=from_day,
        now=now,
    )
    told = {"follows": ids.show(ids.CLASS_TEMPLATE, before.id)} | audit.changed(plain(before), plain(following))
    return await _shaped(tx, tenant_id, following, actor, now, topic="class_template.split", changes=told)


async def delete_template(tx: Transaction, *, tenant_id: UUID, template_id: UUID, actor: str, now: datetime) -> None:
    """Delete a template with its classes to come. Raises TemplateNotFound, ClassesHaveBookings."""
    template = await template_of(tx, tenant_id=tenant_id, template_id=template_id, lock=True)
    if template.deleted_at:
        return
    future = await future_of(tx, tenant_id=tenant_id, template_id=template_id, since=date.min, now=now)
    if busy := [each for each in future if each.taken or each.waiting]:
        raise have_bookings("the template cannot be deleted", busy)
    await delete_from(tx, tenant_id=tenant_id, class_ids=[each.id for each in future])
    await tx.execute(_DELETE, tenant_id, template_id, now)
    await record_and_tell(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        topic="class_template.deleted",
        subject=ids.show(ids.CLASS_TEMPLATE, template_id),
        changes={"title": template.title, "classes": len(future)},
    )


async def _shaped(
    tx: Transaction,
    tenant_id: UUID,
    template: Template,
    actor: str,
    now: datetime,
    *,
    topic: str,
    changes: dict[str, Any],
) -> Shaped:
    """Make what is not there yet, and refuse what stands in the way of anything to come."""
    settings = await settings_of(tx, tenant_id=tenant_id)
    await lock_places(tx, tenant_id=tenant_id, rooms=[template.room_id], staff=[template.staff_id])
    made = await materialise(tx, tenant_id=tenant_id, templates=[template], settings=settings, now=now)
    future = await future_of(tx, tenant_id=tenant_id, template_id=template.id, since=date.min, now=now)
    warnings = await require_free(tx, tenant_id=tenant_id, class_ids=[each.id for each in future if not each.is_edited])
    subject = ids.show(ids.CLASS_TEMPLATE, template.id)
    await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic=topic, subject=subject, changes=changes)
    return Shaped(await template_of(tx, tenant_id=tenant_id, template_id=template.id), warnings, len(made))


async def _present(tx: Transaction, tenant_id: UUID, template_id: UUID) -> Template:
    found = await template_of(tx, tenant_id=tenant_id, template_id=template_id, lock=True)
    if found.deleted_at:
        raise TemplateDeleted("this class template was deleted", hint="Add a new one.")
    return found


async def _changed(tx: Transaction, tenant_id: UUID, before: Template, changes: Mapping[str, Any]) -> Template:
    """Return the template with changes, whose parts are there. A room does not come along into another venue."""
    moved = dict(changes)
    if "venue_id" in moved and moved["venue_id"] != before.venue_id:
        moved.setdefault("room_id", None)
    after = replace(before, **moved)
    named = {name: value for name, value in asdict(after).items() if name in moved or name == "venue_id"}
    venue = await require_parts(tx, tenant_id=tenant_id, values=named)
    return replace(after, time_zone=venue["time_zone"])


def _rest_of(template: Template, from_day: date, now: datetime) -> dict[str, Any]:
    """Return how a rule goes on from one of its days. A count is what is left of it. Raises NotAClassDay."""
    zone = zone_named(template.time_zone)
    if template.rrule is None or from_day < local_day(now, zone) or from_day <= template.starts_on:
        raise _not_a_day(from_day, "it is the first one, or gone by")
    rule = rule_of(template.rrule, zone)
    days = list(rule.days(template.starts_on, from_day))
    if not days or days[-1] != from_day or (template.ends_on and from_day > template.ends_on):
        raise _not_a_day(from_day, "its rule falls on other days")
    left = rule.count - len(days) + 1 if rule.count else None
    return {"starts_on": from_day} | ({"rrule": rule.text_with(left)} if left else {})


def _not_a_day(day: date, why: str) -> NotAClassDay:
    return NotAClassDay(
        f"nothing can follow from {day}: {why}",
        hint="Give a later day of the template's own; what is to hold for all of them is a change of the template.",
        fields=(FieldError("from_day", "not_a_class_day", why),),
    )


def _require_days(template: Template) -> None:
    if template.ends_on and template.ends_on < template.starts_on:
        raise RecurrenceInvalid(
            f"it ends on {template.ends_on}, before it begins on {template.starts_on}",
            hint="Let `ends_on` be the last day, or leave it out.",
            fields=(FieldError("ends_on", "recurrence_invalid", "it is before starts_on"),),
        )
    if template.rrule is None:
        return
    rule = rule_of(template.rrule, zone_named(template.time_zone))
    if next(rule.days(template.starts_on, template.starts_on + LOOKED_AHEAD), None) is None:
        raise RecurrenceInvalid(
            "the rule falls on no day",
            hint="Check BYMONTHDAY, BYSETPOS and UNTIL.",
            fields=(FieldError("rrule", "recurrence_invalid", "it falls on no day"),),
        )


async def _write(tx: Transaction, statement: str, tenant_id: UUID, template: Template) -> None:
    values: Sequence[Any] = [
        msgspec.json.encode(value).decode() if name == "requirements" else list(value) if name == "pools" else value
        for name, value in ((name, getattr(template, name)) for name in _SET)
    ]
    await tx.execute(statement, tenant_id, template.id, *values)
