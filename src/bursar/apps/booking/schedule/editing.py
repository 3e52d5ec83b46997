"""One class: add one of its own, edit it alone, delete it. What live bookings stand in the way of is refused, with their number."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.classes import class_of
from bursar.apps.booking.schedule.conflicts import Clash, lock_places, require_free
from bursar.apps.booking.schedule.models import ClassInstance
from bursar.apps.booking.schedule.parts import require_parts, with_capacity
from bursar.apps.booking.schedule.refusals import (
    ClassCancelled,
    ClassInPast,
    ClassStarted,
    below_booked,
    have_bookings,
)
from bursar.apps.booking.schedule.telling import have_waitlists_served, opens_seats, plain, record_and_tell
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.kernel.zones import zone_named

_SET: Final = (
    "venue_id", "room_id", "staff_id", "policy_id", "price_id", "deposit_percent", "title", "about", "category", "credit_cost", "pools",
    "requirements", "local_date", "local_start", "time_zone", "starts_at", "ends_at", "is_shifted", "is_published",
    "is_edited", "capacity", "overbook",
)  # fmt: skip
_VALUES: Final = ", ".join(
    f"${place}::text::jsonb" if name == "requirements" else f"${place}" for place, name in enumerate(_SET, 3)
)
_ADD = f"insert into class_instance (tenant_id, id, {', '.join(_SET)}) values ($1, $2, {_VALUES})"
_CHANGE = f"update class_instance set ({', '.join(_SET)}, version) = ({_VALUES}, version + 1) where tenant_id = $1 and id = $2"
# Edited, so that its rule does not make it again.
_DELETE = "update class_instance set status = 'deleted', is_edited = true, version = version + 1 where tenant_id = $1 and id = $2"

# Reports count what was given up on the day of its class. Live bookings are moved by whoever has them.
_GIVEN_UP = """
update booking set local_date = $3
where tenant_id = $1 and class_id = $2 and status in ('cancelled', 'late_cancelled', 'expired')
"""

_WHEN: Final = ("starts_at", "ends_at", "venue_id")


@dataclass(frozen=True, slots=True)
class Edited:
    """A class as it became. warnings: what the business is only warned of."""

    instance: ClassInstance
    warnings: tuple[Clash, ...]


async def add_class(
    tx: Transaction, *, tenant_id: UUID, values: Mapping[str, Any], duration_min: int, actor: str, now: datetime
) -> Edited:
    """Add a class of its own. values: by column, with local_date and local_start; the zone is the venue's, a capacity of None the room's.

    Raises CapacityMissing, VenueNotFound, RoomNotFound, StaffNotFound, PriceNotFound, PolicyNotFound, PlaceDeleted, RoomElsewhere, ClassInPast,
    ScheduleRuleBroken.
    """
    values = await with_capacity(tx, tenant_id=tenant_id, values=values)
    venue = await require_parts(tx, tenant_id=tenant_id, values=values)
    zone = venue["time_zone"]
    placed = times.placed(values["local_date"], values["local_start"], zone_named(zone))
    new = ClassInstance(
        id=ids.new(), template_id=None, slot=None, time_zone=zone, starts_at=placed.at, ends_at=placed.at + timedelta(minutes=duration_min),
        is_shifted=placed.is_shifted, status="scheduled", is_edited=False, overbook=0, held=0, booked=0, waiting=0, cancelled_at=None,
        cancel_reason=None, version=1, **values,
    )  # fmt: skip
    _require_future(new, now)
    await _write(tx, _ADD, tenant_id, new)
    warnings = await require_free(tx, tenant_id=tenant_id, class_ids=[new.id])
    subject = ids.show(ids.CLASS, new.id)
    await record_and_tell(
        tx, tenant_id=tenant_id, actor=actor, topic="class.added", subject=subject, changes=plain(new)
    )
    return Edited(new, warnings)


async def edit_class(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
    allows_overbooked: bool = False,
    moves_bookings: bool = False,
) -> Edited:
    """Change one class alone; its template no longer reaches it. changes: by column, and `duration_min`.

    allows_overbooked: take a capacity below what is given out; nothing is sold until it is above that again. moves_bookings: the caller
    moves the bookings in this transaction.
    Raises as `add_class`, and ClassNotFound, ClassStarted, ClassCancelled, ClassesHaveBookings, CapacityBelowBooked.
    """
    seen = await class_of(tx, tenant_id=tenant_id, class_id=class_id)
    wanted = await _wanted(tx, tenant_id, seen, changes)
    await lock_places(
        tx, tenant_id=tenant_id, rooms=[seen.room_id, wanted.room_id], staff=[seen.staff_id, wanted.staff_id]
    )
    before = await class_of(tx, tenant_id=tenant_id, class_id=class_id, lock=True)
    _require_open(before, now)
    after = replace(
        await _wanted(tx, tenant_id, before, changes),
        overbook=max(before.taken - int(changes.get("capacity", before.capacity)), 0),
        is_edited=before.is_edited or before.template_id is not None,
    )
    if plain(replace(after, is_edited=before.is_edited)) == plain(before):
        return Edited(before, ())
    if after.capacity < min(before.capacity, before.taken) and not allows_overbooked:
        raise below_booked(after.capacity, [before])
    if any(getattr(before, name) != getattr(after, name) for name in _WHEN):
        _require_future(after, now)
        if (before.taken or before.waiting) and not moves_bookings:
            raise have_bookings("the class would move", [before])
    await _write(tx, _CHANGE, tenant_id, after)
    if after.local_date != before.local_date:
        await tx.execute(_GIVEN_UP, tenant_id, class_id, after.local_date)
    warnings = await require_free(tx, tenant_id=tenant_id, class_ids=[class_id])
    changed = audit.changed(plain(before), plain(after))
    subject = ids.show(ids.CLASS, class_id)
    await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic="class.changed", subject=subject, changes=changed)
    if opens_seats(before, after) and not moves_bookings:
        await have_waitlists_served(tx, tenant_id=tenant_id)
    return Edited(await class_of(tx, tenant_id=tenant_id, class_id=class_id), warnings)


async def delete_class(tx: Transaction, *, tenant_id: UUID, class_id: UUID, actor: str, now: datetime) -> None:
    """Delete a class that nobody booked; its rule does not make it again. Raises ClassNotFound, ClassStarted, ClassesHaveBookings."""
    before = await class_of(tx, tenant_id=tenant_id, class_id=class_id, lock=True)
    if before.status == "scheduled":
        _require_open(before, now)
    if before.taken or before.waiting:
        raise have_bookings("the class cannot be deleted", [before])
    await tx.execute(_DELETE, tenant_id, class_id)
    subject = ids.show(ids.CLASS, class_id)
    await record_and_tell(
        tx, tenant_id=tenant_id, actor=actor, topic="class.deleted", subject=subject, changes={"title": before.title}
    )


async def _wanted(tx: Transaction, tenant_id: UUID, before: ClassInstance, changes: Mapping[str, Any]) -> ClassInstance:
    """Return the class with changes, where all that they name is there. A room does not come along into another venue."""
    moved = {name: value for name, value in changes.items() if name != "duration_min"}
    if moved.get("venue_id", before.venue_id) != before.venue_id:
        moved.setdefault("room_id", None)
    after = replace(before, **moved)
    named = {name: value for name, value in asdict(after).items() if name in moved or name == "venue_id"}
    venue = await require_parts(tx, tenant_id=tenant_id, values=named)
    placed = times.placed(after.local_date, after.local_start, zone_named(venue["time_zone"]))
    minutes = changes.get("duration_min", before.duration_min)
    return replace(
        after,
        time_zone=venue["time_zone"],
        starts_at=placed.at,
        ends_at=placed.at + timedelta(minutes=minutes),
        is_shifted=placed.is_shifted,
    )


def _require_open(instance: ClassInstance, now: datetime) -> None:
    shown = ids.show(ids.CLASS, instance.id)
    if instance.status != "scheduled":
        raise ClassCancelled(f"{shown} was cancelled", hint="Add another class instead.")
    if instance.starts_at <= now:
        raise ClassStarted(
            f"{shown} began on {times.told(instance.starts_at, instance.time_zone)}",
            hint="What has begun stays as it is.",
        )


def _require_future(instance: ClassInstance, now: datetime) -> None:
    if instance.starts_at <= now:
        raise ClassInPast(
            f"{times.told(instance.starts_at, instance.time_zone)} has gone by",
            hint="Give a later day or time.",
            fields=(FieldError("local_date", "class_in_past", "it lies in the past"),),
        )


async def _write(tx: Transaction, statement: str, tenant_id: UUID, instance: ClassInstance) -> None:
    values = [
        msgspec.json.encode(value).decode() if name == "requirements" else list(value) if name == "pools" else value
        for name, value in ((name, getattr(instance, name)) for name in _SET)
    ]
    await tx.execute(statement, tenant_id, instance.id, *values)
