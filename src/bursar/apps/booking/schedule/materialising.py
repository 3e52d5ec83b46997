"""Make the classes that rules ask for: so many weeks ahead, in one statement, and nothing when it is done again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.models import Template
from bursar.apps.booking.schedule.recurrence import rule_of
from bursar.apps.booking.schedule.settings import ScheduleSettings
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.zones import local_day, zone_named

TEMPLATE_COLUMNS: Final = ", ".join(
    f"t.{field.name}::text as {field.name}" if field.name == "requirements" else f"t.{field.name}"
    for field in fields(Template)
)

_COPIED: Final = "venue_id, room_id, staff_id, policy_id, price_id, deposit_percent, title, about, category, credit_cost, pools, requirements, is_published"
_OF_TEMPLATE: Final = ", ".join(f"t.{name}" for name in _COPIED.split(", "))

_WANTED: Final = """unnest($2::uuid[], $3::uuid[], $4::date[], $5::timestamptz[], $6::bool[])
    as n (id, template_id, slot, starts_at, is_shifted)
  join class_template t on t.tenant_id = $1 and t.id = n.template_id"""

# A day that its rule left and came back to; one that somebody deleted stays deleted.
_REVIVE = f"""
update class_instance c
set ({_COPIED}, local_date, local_start, time_zone, starts_at, ends_at, is_shifted, capacity, status, version) = (
  select {_OF_TEMPLATE}, n.slot, t.local_start, t.time_zone, n.starts_at, n.starts_at + t.duration_min * interval '1 minute',
    n.is_shifted, t.capacity, 'scheduled', c.version + 1
  from {_WANTED}
  where n.template_id = c.template_id and n.slot = c.slot)
where c.tenant_id = $1 and c.template_id = any($3::uuid[]) and c.slot = any($4::date[]) and c.status = 'deleted' and not c.is_edited
  and (c.template_id, c.slot) in (select n.template_id, n.slot from unnest($3::uuid[], $4::date[]) as n (template_id, slot))
returning c.id
"""

_MAKE = f"""
insert into class_instance (tenant_id, id, template_id, slot, local_date, local_start, time_zone, starts_at, ends_at, is_shifted,
  capacity, {_COPIED})
select $1, n.id, n.template_id, n.slot, n.slot, t.local_start, t.time_zone, n.starts_at,
  n.starts_at + t.duration_min * interval '1 minute', n.is_shifted, t.capacity, {_OF_TEMPLATE}
from {_WANTED}
where not exists (
  select from class_instance x where x.tenant_id = $1 and x.template_id = n.template_id and x.slot = n.slot)
order by n.slot, n.template_id
on conflict on constraint class_instance_once do nothing
returning id
"""

_REACHED = """
update class_template t set materialised_through = n.through
from unnest($2::uuid[], $3::date[]) as n (id, through)
where t.tenant_id = $1 and t.id = n.id and t.materialised_through is distinct from n.through
"""

_CLOSED = """
select venue_id, day from venue_closed_day where tenant_id = $1 and venue_id = any($2::uuid[]) and day >= $3
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A day of a rule and when that is."""

    day: date
    placed: times.Placed


def slots_of(template: Template, last: date, now: datetime) -> Iterator[Slot]:
    """Return the days of a template from now on to the last one, with their instants; of one without a rule its only day. Pure."""
    zone = zone_named(template.time_zone)
    if template.ends_on:
        last = min(last, template.ends_on)
    if template.rrule is None:
        days: Iterator[date] = iter((template.starts_on,))
    else:
        days = rule_of(template.rrule, zone).days(template.starts_on, last)
    today = local_day(now, zone)
    for day in days:
        if day >= today:
            slot = Slot(day, times.placed(day, template.local_start, zone))
            if slot.placed.at > now:
                yield slot


async def materialise(
    tx: Transaction, *, tenant_id: UUID, templates: Sequence[Template], settings: ScheduleSettings, now: datetime
) -> tuple[UUID, ...]:
    """Make the classes of these templates that are not there yet, but for days on which their venue is closed; return them."""
    closed = await _closed_days(tx, tenant_id, templates, now)
    wanted: list[tuple[UUID, UUID, Slot]] = []
    reached: list[date] = []
    for template in templates:
        _, last = settings.horizon(now, zone_named(template.time_zone))
        reached.append(last)
        wanted += [
            (ids.new(), template.id, slot)
            for slot in slots_of(template, last, now)
            if (template.venue_id, slot.day) not in closed
        ]
    if not templates:
        return ()
    columns = (
        [new for new, _, _ in wanted],
        [of for _, of, _ in wanted],
        [slot.day for _, _, slot in wanted],
        [slot.placed.at for _, _, slot in wanted],
        [slot.placed.is_shifted for _, _, slot in wanted],
    )
    rows = [*await tx.fetch(_REVIVE, tenant_id, *columns), *await tx.fetch(_MAKE, tenant_id, *columns)]
    await tx.execute(_REACHED, tenant_id, [template.id for template in templates], reached)
    return tuple(row["id"] for row in rows)


async def _closed_days(
    tx: Transaction, tenant_id: UUID, templates: Sequence[Template], now: datetime
) -> frozenset[tuple[UUID, date]]:
    venues = list({template.venue_id for template in templates})
    rows = await tx.fetch(_CLOSED, tenant_id, venues, (now - timedelta(days=1)).date())
    return frozenset((row["venue_id"], row["day"]) for row in rows)


def template_from(row: object) -> Template:
    """Return a template of a row with `TEMPLATE_COLUMNS`."""
    kept = dict(row)  # type: ignore[call-overload]
    return Template(**kept | {"pools": tuple(kept["pools"]), "requirements": msgspec.json.decode(kept["requirements"])})
