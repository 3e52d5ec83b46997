"""What stands in the way of a class: a room or an instructor that is taken, a venue that is closed, a room that is too small.

Judged after the classes were written and before the commit: what is refused is taken back. The rooms and the instructors
are locked before that, so that of two that come together the second sees the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError

TOLD_MAX: Final = 20
LISTED_MAX: Final = 200
WARNS: Final = "is_warning"
"""The parameter with which a business is warned of what is refused otherwise."""


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """A rule about places and people. number: of the catalogue of 80 rules. field: of a class, to which it points."""

    id: str
    number: int
    code: str
    says: str
    field: str


class ScheduleRuleBroken(Conflict):
    """A class cannot take place so, by a rule of the business."""

    code = "schedule_rule_broken"


class RoomTaken(ScheduleRuleBroken):
    """Another class is in the room at that time."""

    code = "room_taken"


class InstructorTaken(ScheduleRuleBroken):
    """The instructor gives another class or a service at that time."""

    code = "instructor_taken"


class InstructorNotQualified(ScheduleRuleBroken):
    """The instructor may not give classes of this category."""

    code = "instructor_not_qualified"


class OutsideOpeningHours(ScheduleRuleBroken):
    """The venue is not open all that time."""

    code = "outside_opening_hours"


class VenueClosed(ScheduleRuleBroken):
    """The venue is closed on that day."""

    code = "venue_closed_on_day"


class RoomTooSmall(ScheduleRuleBroken):
    """The class has more seats than its room."""

    code = "capacity_over_room"


_REFUSALS: Final[dict[str, type[ScheduleRuleBroken]]] = {
    refusal.code: refusal
    for refusal in (
        RoomTaken,
        InstructorTaken,
        InstructorNotQualified,
        OutsideOpeningHours,
        VenueClosed,
        RoomTooSmall,
    )
}

PLACE_RULES: Final = (
    PlaceRule("venue_open", 3, "outside_opening_hours", "A class takes place while its venue is open.", "local_start"),
    PlaceRule("room_free", 4, "room_taken", "A room has one class at a time.", "room"),
    PlaceRule("instructor_free", 5, "instructor_taken", "An instructor is in one place at a time.", "staff"),
    PlaceRule(
        "instructor_qualified",
        6,
        "instructor_not_qualified",
        "An instructor gives classes of the categories that he teaches; one for whom none are named, of all.",
        "staff",
    ),
    PlaceRule(
        "venue_not_closed",
        7,
        "venue_closed_on_day",
        "Nothing takes place on a day on which the venue is closed.",
        "local_date",
    ),
    PlaceRule(
        "capacity_within_room", 9, "capacity_over_room", "A class has as many seats as its room at most.", "capacity"
    ),
)
"""On in every business that did not change them; `booking_rule` says which one turned off, or is only warned of."""

_BY_ID: Final = {rule.id: rule for rule in PLACE_RULES}


@dataclass(frozen=True, slots=True)
class Clash:
    """One rule that one class breaks. other: the id of the class or booking that is in the way, in its public form."""

    rule: str
    code: str
    class_id: UUID
    other: str | None
    message: str
    is_refused: bool


_RULES = "select rule, is_on, parameters::text as parameters from booking_rule where tenant_id = $1 and rule = any($2::text[])"

# In the order of their ids, so that two that need the same ones wait for one another and for nothing else.
_LOCK_ROOMS = "select from room where tenant_id = $1 and id = any($2::uuid[]) order by id for no key update"
_LOCK_STAFF = "select from staff where tenant_id = $1 and id = any($2::uuid[]) order by id for no key update"

_OVERLAPS: Final = (
    "o.status = 'scheduled' and o.starts_at < a.ends_at and o.starts_at > a.earliest and o.ends_at > a.starts_at"
)

_CLASHES: Final = f"""
with a as (
  select c.id, c.title, c.category, c.venue_id, c.room_id, c.staff_id, c.local_date, c.capacity, c.starts_at, c.ends_at,
    c.time_zone,
    c.starts_at at time zone c.time_zone as begins, c.ends_at at time zone c.time_zone as finishes,
    -- A comparison with more than a column would not be let into an index under row-level security.
    c.starts_at - interval '1441 minutes' as earliest, c.starts_at - interval '2881 minutes' as earliest_service
  from class_instance c where c.tenant_id = $1 and c.status = 'scheduled' and {{which}}
)
select 'room_free' as rule, a.id, a.title, a.starts_at, a.time_zone, o.id as other, o.title as other_title
from a join class_instance o on o.tenant_id = $1 and o.room_id = a.room_id and o.id <> a.id and {_OVERLAPS}
union all
select 'instructor_free', a.id, a.title, a.starts_at, a.time_zone, o.id, o.title
from a join class_instance o on o.tenant_id = $1 and o.staff_id = a.staff_id and o.id <> a.id and {_OVERLAPS}
union all
select 'instructor_free', a.id, a.title, a.starts_at, a.time_zone, b.id, null
from a join booking b on b.tenant_id = $1 and b.staff_id = a.staff_id and b.kind = 'service' and b.starts_at < a.ends_at
  and b.starts_at > a.earliest_service and b.ends_at > a.starts_at and b.is_live
union all
select 'instructor_qualified', a.id, a.title, a.starts_at, a.time_zone, null,
  s.name || ' teaches ' || array_to_string(s.teaches, ', ') || ', and this is ' || coalesce(nullif(a.category, ''), 'of no category')
from a join staff s on s.tenant_id = $1 and s.id = a.staff_id and cardinality(s.teaches) > 0 and not a.category = any (s.teaches)
union all
select 'venue_not_closed', a.id, a.title, a.starts_at, a.time_zone, null, d.name
from a join venue_closed_day d on d.tenant_id = $1 and d.venue_id = a.venue_id and d.day = a.local_date
union all
select 'venue_open', a.id, a.title, a.starts_at, a.time_zone, null, null
from a
where exists (select from venue_hours h where h.tenant_id = $1 and h.venue_id = a.venue_id)
  and not exists (
    select from venue_hours h
    where h.tenant_id = $1 and h.venue_id = a.venue_id and h.weekday = extract(isodow from a.begins)
      and h.opens_min * 60 <= extract(epoch from a.begins - date_trunc('day', a.begins))
      and extract(epoch from a.finishes - date_trunc('day', a.begins)) <= h.closes_min * 60)
union all
select 'capacity_within_room', a.id, a.title, a.starts_at, a.time_zone, null, r.name || ' has ' || r.capacity
from a join room r on r.tenant_id = $1 and r.id = a.room_id and a.capacity > r.capacity
order by starts_at, rule, other nulls first limit {LISTED_MAX}
"""

_CLASHES_OF = _CLASHES.format(which="c.id = any($2::uuid[])")
_CLASHES_BETWEEN = _CLASHES.format(which="c.starts_at >= $2 and c.starts_at < $3")


async def lock_places(
    tx: Transaction, *, tenant_id: UUID, rooms: Iterable[UUID | None], staff: Iterable[UUID | None]
) -> None:
    """Let nobody else place a class in these rooms or with these people until the transaction ends."""
    if wanted := [room for room in rooms if room]:
        await tx.execute(_LOCK_ROOMS, tenant_id, wanted)
    if people := [person for person in staff if person]:
        await tx.execute(_LOCK_STAFF, tenant_id, people)


async def require_free(tx: Transaction, *, tenant_id: UUID, class_ids: Sequence[UUID]) -> tuple[Clash, ...]:
    """Return what a business is only warned of about classes that were written in this transaction.

    Raises ScheduleRuleBroken, by its code, with all that is refused in its fields.
    """
    if not class_ids:
        return ()
    found = await _judged(tx, tenant_id, await tx.fetch(_CLASHES_OF, tenant_id, list(class_ids)))
    if refused := [clash for clash in found if clash.is_refused]:
        first = refused[0]
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise _REFUSALS[first.code](
            f"{first.message}{more}",
            hint="Choose another time, room or instructor; or be only warned of this rule: PUT /v1/booking-rules.",
            fields=tuple(FieldError(_BY_ID[c.rule].field, c.code, c.message) for c in refused[:TOLD_MAX]),
            context={"conflicts": len(refused)},
        )
    return found


async def clashes_between(tx: Transaction, *, tenant_id: UUID, since: Any, until: Any) -> tuple[Clash, ...]:
    """Return what stands in the way of classes that begin in a period, those first that begin first; at most 200."""
    return await _judged(tx, tenant_id, await tx.fetch(_CLASHES_BETWEEN, tenant_id, since, until))


async def _judged(tx: Transaction, tenant_id: UUID, rows: Sequence[Any]) -> tuple[Clash, ...]:
    if not rows:
        return ()
    changed = {
        row["rule"]: (row["is_on"], bool(msgspec.json.decode(row["parameters"]).get(WARNS)))
        for row in await tx.fetch(_RULES, tenant_id, list(_BY_ID))
    }
    judged = []
    for row in rows:
        is_on, is_warning = changed.get(row["rule"], (True, False))
        if is_on:
            judged.append(_clash(row, is_refused=not is_warning))
    return tuple(judged)


def _clash(row: Any, *, is_refused: bool) -> Clash:
    rule, other = _BY_ID[row["rule"]], row["other"]
    about = f"{row['title']} on {times.told(row['starts_at'], row['time_zone'])}"
    prefix = ids.CLASS if row["other_title"] is not None else ids.BOOKING
    shown = ids.show(prefix, other) if other else None
    told = {
        "room_free": f"{about}: the room has {row['other_title']} ({shown})",
        "instructor_free": f"{about}: the instructor gives {row['other_title'] or 'a service'} ({shown})",
        "instructor_qualified": f"{about}: {row['other_title']}",
        "venue_not_closed": f"{about}: the venue is closed that day{_named(row['other_title'])}",
        "venue_open": f"{about}: the venue is not open all that time",
        "capacity_within_room": f"{about}: more seats than the room, {row['other_title']}",
    }[rule.id]
    return Clash(rule.id, rule.code, row["id"], shown, told, is_refused)


def _named(name: str | None) -> str:
    return f" ({name})" if name else ""
