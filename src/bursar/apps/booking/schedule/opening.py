"""When a venue is open, and on which days it is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from bursar.apps.booking.schedule.places import present, venue
from bursar.apps.booking.schedule.telling import record_and_tell
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid


@dataclass(frozen=True, slots=True)
class Hours:
    """When a venue is open on a weekday (1: Monday). Minutes after midnight; beyond 1440 it closes on the next day."""

    weekday: int
    opens_min: int
    closes_min: int


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A day on which a venue is closed."""

    day: date
    name: str


class HoursInvalid(Invalid):
    """Hours of one day overlap, or close before they open."""

    code = "opening_hours_invalid"


_HOURS = "select weekday, opens_min, closes_min from venue_hours where tenant_id = $1 and venue_id = $2 order by weekday, opens_min"
_FORGET_HOURS = "delete from venue_hours where tenant_id = $1 and venue_id = $2"
_ADD_HOURS = """
insert into venue_hours (tenant_id, venue_id, weekday, opens_min, closes_min)
select $1, $2, h.weekday, h.opens_min, h.closes_min from unnest($3::int[], $4::int[], $5::int[]) as h (weekday, opens_min, closes_min)
"""
_DAYS = "select day, name from venue_closed_day where tenant_id = $1 and venue_id = $2 order by day"
_FORGET_DAYS = "delete from venue_closed_day where tenant_id = $1 and venue_id = $2"
_ADD_DAYS = """
insert into venue_closed_day (tenant_id, venue_id, day, name)
select $1, $2, d.day, d.name from unnest($3::date[], $4::text[]) as d (day, name)
"""


async def hours_of(tx: Transaction, *, tenant_id: UUID, venue_id: UUID) -> tuple[Hours, ...]:
    """Return when a venue is open; nothing where it always is."""
    return tuple(Hours(**dict(row)) for row in await tx.fetch(_HOURS, tenant_id, venue_id))


async def closed_days_of(tx: Transaction, *, tenant_id: UUID, venue_id: UUID) -> tuple[ClosedDay, ...]:
    """Return the days on which a venue is closed."""
    return tuple(ClosedDay(**dict(row)) for row in await tx.fetch(_DAYS, tenant_id, venue_id))


async def set_hours(
    tx: Transaction, *, tenant_id: UUID, venue_id: UUID, hours: Sequence[Hours], actor: str
) -> tuple[Hours, ...]:
    """Let a venue be open so from now on. Classes that are there stay, and are told of as conflicts. Raises VenueNotFound, HoursInvalid."""
    present(await venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True), "venue")
    _require_apart(hours)
    await tx.execute(_FORGET_HOURS, tenant_id, venue_id)
    columns: tuple[list[int], ...] = (
        [h.weekday for h in hours],
        [h.opens_min for h in hours],
        [h.closes_min for h in hours],
    )
    await tx.execute(_ADD_HOURS, tenant_id, venue_id, *columns)
    told = {"hours": [[h.weekday, h.opens_min, h.closes_min] for h in hours]}
    await _tell(tx, (tenant_id, venue_id), actor, "venue.hours_changed", told)
    return await hours_of(tx, tenant_id=tenant_id, venue_id=venue_id)


async def set_closed_days(
    tx: Transaction, *, tenant_id: UUID, venue_id: UUID, days: Sequence[ClosedDay], actor: str
) -> tuple[ClosedDay, ...]:
    """Let a venue be closed on these days. Rules make no classes on them; those that are there stay, and are told of as conflicts.

    Raises VenueNotFound, HoursInvalid.
    """
    present(await venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True), "venue")
    if len({each.day for each in days}) < len(days):
        raise _invalid("days", "a day stands there twice")
    await tx.execute(_FORGET_DAYS, tenant_id, venue_id)
    await tx.execute(_ADD_DAYS, tenant_id, venue_id, [d.day for d in days], [d.name for d in days])
    told = {"days": [d.day.isoformat() for d in days]}
    await _tell(tx, (tenant_id, venue_id), actor, "venue.closed_days_changed", told)
    return await closed_days_of(tx, tenant_id=tenant_id, venue_id=venue_id)


def _require_apart(hours: Sequence[Hours]) -> None:
    ends: dict[int, int] = {}
    for each in sorted(hours, key=lambda h: (h.weekday, h.opens_min)):
        if each.closes_min <= each.opens_min:
            raise _invalid("hours", "a venue closes after it opens")
        if each.opens_min < ends.get(each.weekday, 0):
            raise _invalid("hours", f"hours of weekday {each.weekday} overlap")
        ends[each.weekday] = each.closes_min


def _invalid(field: str, message: str) -> HoursInvalid:
    return HoursInvalid(
        message, hint="Give each stretch once.", fields=(FieldError(field, "opening_hours_invalid", message),)
    )


async def _tell(tx: Transaction, of: tuple[UUID, UUID], actor: str, topic: str, told: dict[str, Any]) -> None:
    tenant_id, venue_id = of
    subject = ids.show(ids.VENUE, venue_id)
    await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic=topic, subject=subject, changes=told)
