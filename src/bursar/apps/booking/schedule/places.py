"""Where classes take place and who instructs them: venues, rooms and staff. Deleted ones are hidden, and nothing is lost with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.schedule.telling import plain_values, record_and_tell
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, NotFound
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.zones import zone_named

Row = dict[str, Any]


class VenueNotFound(NotFound):
    """No venue of this business has this id."""

    code = "venue_not_found"


class RoomNotFound(NotFound):
    """No room of this business has this id."""

    code = "room_not_found"


class StaffNotFound(NotFound):
    """Nobody of this business's staff has this id."""

    code = "staff_not_found"


class PlaceDeleted(Conflict):
    """The venue, the room or the person was deleted: nothing new takes place there."""

    code = "place_deleted"


class HasBookings(Conflict):
    """Somebody has a booking there that is still to come."""

    code = "has_future_bookings"


class HasClasses(Conflict):
    """Classes are still to take place there."""

    code = "has_future_classes"


_VENUE: Final = (
    "select v.id, v.name, v.time_zone, v.address, v.tax_bp, v.tax_included, v.created_at, v.deleted_at from venue v"
)
_ROOM: Final = "select r.id, r.venue_id as venue, r.name, r.capacity, r.created_at, r.deleted_at from room r"
_STAFF: Final = "select s.id, s.name, s.about, s.user_id as user, s.teaches, s.created_at, s.deleted_at from staff s"

VENUES = Listing(select=_VENUE, tenant="v.tenant_id", key="v.id", filters={"present": "v.deleted_at is null"})
ROOMS = Listing(
    select=_ROOM,
    tenant="r.tenant_id",
    key="r.id",
    filters={"venue": "r.venue_id = {}", "present": "r.deleted_at is null"},
    refers={"venue": "venue"},
)
STAFF = Listing(select=_STAFF, tenant="s.tenant_id", key="s.id", filters={"present": "s.deleted_at is null"})

_ONE_VENUE = f"{_VENUE} where v.tenant_id = $1 and v.id = $2"
_ONE_ROOM = f"{_ROOM} where r.tenant_id = $1 and r.id = $2"
_ONE_STAFF = f"{_STAFF} where s.tenant_id = $1 and s.id = $2"
_LOCKED_VENUE = f"{_ONE_VENUE} for no key update"
_LOCKED_ROOM = f"{_ONE_ROOM} for no key update"
_LOCKED_STAFF = f"{_ONE_STAFF} for no key update"

_ADD_VENUE = """
insert into venue (tenant_id, id, name, time_zone, address, tax_bp, tax_included) values ($1, $2, $3, $4, $5, $6, $7)
"""
_ADD_ROOM = "insert into room (tenant_id, id, venue_id, name, capacity) values ($1, $2, $3, $4, $5)"
_ADD_STAFF = "insert into staff (tenant_id, id, name, about, user_id, teaches) values ($1, $2, $3, $4, $5, $6)"
_SET_VENUE = """
update venue set name = $3, time_zone = $4, address = $5, tax_bp = $6, tax_included = $7 where tenant_id = $1 and id = $2
"""
_SET_ROOM = "update room set name = $3, capacity = $4 where tenant_id = $1 and id = $2"
_SET_STAFF = "update staff set name = $3, about = $4, user_id = $5, teaches = $6 where tenant_id = $1 and id = $2"
_DELETE_VENUE = "update venue set deleted_at = $3 where tenant_id = $1 and id = $2"
_DELETE_ROOMS_OF = "update room set deleted_at = $3 where tenant_id = $1 and venue_id = $2 and deleted_at is null"
_DELETE_ROOM = "update room set deleted_at = $3 where tenant_id = $1 and id = $2"
_DELETE_STAFF = "update staff set deleted_at = $3 where tenant_id = $1 and id = $2"

_USER = "select true from tenant_user where tenant_id = $1 and id = $2"

# What begins from now on is, by the clock there, on the day before at the earliest; the index knows days.
_FUTURE_VENUE = """
select
  (select count(*) from booking b where b.tenant_id = $1 and b.venue_id = $2 and b.local_date >= $4::date - 1 and b.starts_at > $3 and b.is_live) as bookings,
  (select count(*) from class_instance c
   where c.tenant_id = $1 and c.venue_id = $2 and c.starts_at > $3 and c.status = 'scheduled') as classes,
  (select count(*) from class_template t where t.tenant_id = $1 and t.venue_id = $2 and t.deleted_at is null
    and (t.ends_on is null or t.ends_on >= $4)) as templates
"""
_FUTURE_ROOM = """
select coalesce(sum(c.booked + c.held), 0) as bookings, count(*) as classes, 0 as templates
from class_instance c where c.tenant_id = $1 and c.room_id = $2 and c.starts_at > $3 and c.status = 'scheduled' and $4::date is not null
"""
_FUTURE_STAFF = """
select
  (select count(*) from booking b where b.tenant_id = $1 and b.staff_id = $2 and b.starts_at > $3 and b.is_live)
  + coalesce((select sum(c.booked + c.held) from class_instance c
     where c.tenant_id = $1 and c.staff_id = $2 and c.starts_at > $3 and c.status = 'scheduled'), 0) as bookings,
  (select count(*) from class_instance c
   where c.tenant_id = $1 and c.staff_id = $2 and c.starts_at > $3 and c.status = 'scheduled' and $4::date is not null) as classes,
  0 as templates
"""


async def venues(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Row]:
    """Return venues, newest first."""
    return await part(tx, VENUES, tenant_id=tenant_id, given=given, page=page, view=dict)


async def rooms(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Row]:
    """Return rooms, newest first. Raises FilterNotFound."""
    return await part(tx, ROOMS, tenant_id=tenant_id, given=given, page=page, view=dict)


async def staff(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Row]:
    """Return staff, newest first."""
    return await part(tx, STAFF, tenant_id=tenant_id, given=given, page=page, view=dict)


async def venue(tx: Transaction, *, tenant_id: UUID, venue_id: UUID, lock: bool = False) -> Row:
    """Return one venue, deleted ones too. Raises VenueNotFound."""
    return await _one(tx, _LOCKED_VENUE if lock else _ONE_VENUE, tenant_id, venue_id, (VenueNotFound, ids.VENUE))


async def room(tx: Transaction, *, tenant_id: UUID, room_id: UUID, lock: bool = False) -> Row:
    """Return one room, deleted ones too. Raises RoomNotFound."""
    return await _one(tx, _LOCKED_ROOM if lock else _ONE_ROOM, tenant_id, room_id, (RoomNotFound, ids.ROOM))


async def person(tx: Transaction, *, tenant_id: UUID, staff_id: UUID, lock: bool = False) -> Row:
    """Return one of the staff, deleted ones too. Raises StaffNotFound."""
    return await _one(tx, _LOCKED_STAFF if lock else _ONE_STAFF, tenant_id, staff_id, (StaffNotFound, ids.STAFF))


async def add_venue(
    tx: Transaction,
    *,
    tenant_id: UUID,
    name: str,
    time_zone: str,
    address: str,
    tax_bp: int = 0,
    tax_included: bool = True,
    actor: str,
) -> UUID:
    """Add a venue. tax_bp: what is taxed of seats that are sold there, in basis points. Raises TimeZoneUnknown."""
    zone_named(time_zone)
    venue_id = ids.new()
    await tx.execute(_ADD_VENUE, tenant_id, venue_id, name, time_zone, address, tax_bp, tax_included)
    new = {
        "name": name,
        "time_zone": time_zone,
        "address": address,
        "tax_bp": tax_bp,
        "tax_included": tax_included,
    }
    await _told(tx, (tenant_id, actor), "venue.added", ids.show(ids.VENUE, venue_id), new)
    return venue_id


async def change_venue(
    tx: Transaction, *, tenant_id: UUID, venue_id: UUID, changes: Mapping[str, Any], actor: str, now: datetime
) -> None:
    """Change a venue. Its zone stays while classes are to come; its tax is that of bookings made from then on.

    Raises VenueNotFound, PlaceDeleted, TimeZoneUnknown, HasClasses.
    """
    before = present(await venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True), "venue")
    after = before | dict(changes)
    if after["time_zone"] != before["time_zone"]:
        zone_named(after["time_zone"])
        left = await tx.fetchrow(_FUTURE_VENUE, tenant_id, venue_id, now, now.date())
        if left["classes"] or left["bookings"] or left["templates"]:
            raise _has_classes("The zone cannot be changed", left)
    tax = (after["tax_bp"], after["tax_included"])
    await tx.execute(_SET_VENUE, tenant_id, venue_id, after["name"], after["time_zone"], after["address"], *tax)
    await _changed(tx, (tenant_id, actor), ("venue.changed", ids.show(ids.VENUE, venue_id)), before, after)


async def delete_venue(tx: Transaction, *, tenant_id: UUID, venue_id: UUID, actor: str, now: datetime) -> None:
    """Delete a venue with its rooms. Raises VenueNotFound, HasBookings, HasClasses."""
    before = await venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True)
    if before["deleted_at"]:
        return
    _require_unused("venue", await tx.fetchrow(_FUTURE_VENUE, tenant_id, venue_id, now, now.date()))
    await tx.execute(_DELETE_VENUE, tenant_id, venue_id, now)
    await tx.execute(_DELETE_ROOMS_OF, tenant_id, venue_id, now)
    await _told(tx, (tenant_id, actor), "venue.deleted", ids.show(ids.VENUE, venue_id), {"name": before["name"]})


async def add_room(tx: Transaction, *, tenant_id: UUID, venue_id: UUID, name: str, capacity: int, actor: str) -> UUID:
    """Add a room to a venue. Raises VenueNotFound, PlaceDeleted."""
    present(await venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True), "venue")
    room_id = ids.new()
    await tx.execute(_ADD_ROOM, tenant_id, room_id, venue_id, name, capacity)
    new = {"venue": ids.show(ids.VENUE, venue_id), "name": name, "capacity": capacity}
    await _told(tx, (tenant_id, actor), "room.added", ids.show(ids.ROOM, room_id), new)
    return room_id


async def change_room(
    tx: Transaction, *, tenant_id: UUID, room_id: UUID, changes: Mapping[str, Any], actor: str
) -> None:
    """Change a room. Classes keep their capacity; a smaller room is told of as a conflict. Raises RoomNotFound, PlaceDeleted."""
    before = present(await room(tx, tenant_id=tenant_id, room_id=room_id, lock=True), "room")
    after = before | dict(changes)
    await tx.execute(_SET_ROOM, tenant_id, room_id, after["name"], after["capacity"])
    await _changed(tx, (tenant_id, actor), ("room.changed", ids.show(ids.ROOM, room_id)), before, after)


async def delete_room(tx: Transaction, *, tenant_id: UUID, room_id: UUID, actor: str, now: datetime) -> None:
    """Delete a room. Raises RoomNotFound, HasBookings, HasClasses."""
    before = await room(tx, tenant_id=tenant_id, room_id=room_id, lock=True)
    if before["deleted_at"]:
        return
    _require_unused("room", await tx.fetchrow(_FUTURE_ROOM, tenant_id, room_id, now, now.date()))
    await tx.execute(_DELETE_ROOM, tenant_id, room_id, now)
    await _told(tx, (tenant_id, actor), "room.deleted", ids.show(ids.ROOM, room_id), {"name": before["name"]})


async def add_staff(
    tx: Transaction,
    *,
    tenant_id: UUID,
    name: str,
    about: str,
    user_id: UUID | None,
    actor: str,
    teaches: Sequence[str] = (),
) -> UUID:
    """Add somebody to the staff. Raises StaffNotFound: no such user.

    user_id: who of the business's users it is. teaches: categories of classes that this person may instruct; none: all.
    """
    await _require_user(tx, tenant_id, user_id)
    staff_id = ids.new()
    await tx.execute(_ADD_STAFF, tenant_id, staff_id, name, about, user_id, list(teaches))
    await _told(tx, (tenant_id, actor), "staff.added", ids.show(ids.STAFF, staff_id), {"name": name})
    return staff_id


async def change_staff(
    tx: Transaction, *, tenant_id: UUID, staff_id: UUID, changes: Mapping[str, Any], actor: str
) -> None:
    """Change what is told of somebody. Classes that are there keep their instructor, and are told of as conflicts.

    Raises StaffNotFound, PlaceDeleted.
    """
    before = present(await person(tx, tenant_id=tenant_id, staff_id=staff_id, lock=True), "person")
    after = before | dict(changes)
    await _require_user(tx, tenant_id, after["user"])
    values = after["name"], after["about"], after["user"], list(after["teaches"])
    await tx.execute(_SET_STAFF, tenant_id, staff_id, *values)
    await _changed(tx, (tenant_id, actor), ("staff.changed", ids.show(ids.STAFF, staff_id)), before, after)


async def delete_staff(tx: Transaction, *, tenant_id: UUID, staff_id: UUID, actor: str, now: datetime) -> None:
    """Delete somebody from the staff. Raises StaffNotFound, HasBookings, HasClasses."""
    before = await person(tx, tenant_id=tenant_id, staff_id=staff_id, lock=True)
    if before["deleted_at"]:
        return
    _require_unused("person", await tx.fetchrow(_FUTURE_STAFF, tenant_id, staff_id, now, now.date()))
    await tx.execute(_DELETE_STAFF, tenant_id, staff_id, now)
    await _told(tx, (tenant_id, actor), "staff.deleted", ids.show(ids.STAFF, staff_id), {"name": before["name"]})


def present(row: Row, what: str) -> Row:
    """Return the row if it was not deleted. Raises PlaceDeleted."""
    if row["deleted_at"]:
        raise PlaceDeleted(f"this {what} was deleted", hint="Choose another one.")
    return row


async def _one(tx: Transaction, statement: str, tenant_id: UUID, of: UUID, kind: tuple[type[NotFound], str]) -> Row:
    absent, prefix = kind
    row = await tx.fetchrow(statement, tenant_id, of)
    if row is None:
        raise absent(f"there is no {ids.show(prefix, of)}", hint="Pass the id as a list gave it.")
    return dict(row)


async def _require_user(tx: Transaction, tenant_id: UUID, user_id: UUID | None) -> None:
    if user_id and not await tx.fetchval(_USER, tenant_id, user_id):
        shown = ids.show(ids.USER, user_id)
        raise StaffNotFound(f"there is no user {shown}", fields=(FieldError("user", "not_found", "see GET /v1/users"),))


def _require_unused(what: str, left: Any) -> None:
    if left["bookings"]:
        raise HasBookings(
            f"the {what} has {left['bookings']} bookings that are still to come",
            hint="Cancel their classes or move them first; those who booked are told.",
            context={"bookings": left["bookings"]},
        )
    if left["classes"] or left["templates"]:
        raise _has_classes(f"The {what} cannot be deleted", left)


def _has_classes(refused: str, left: Any) -> HasClasses:
    counts = (("class templates", left["templates"]), ("classes", left["classes"]), ("bookings", left["bookings"]))
    return HasClasses(
        f"{refused}: {', '.join(f'{count} {what}' for what, count in counts if count)} are still to come",
        hint="Delete those templates, and cancel or move those classes and bookings first.",
        context={"classes": left["classes"], "templates": left["templates"], "bookings": int(left["bookings"])},
    )


async def _told(tx: Transaction, by: tuple[UUID, str], topic: str, subject: str, new: dict[str, Any]) -> None:
    tenant_id, actor = by
    await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic=topic, subject=subject, changes=plain_values(new))


async def _changed(tx: Transaction, by: tuple[UUID, str], what: tuple[str, str], before: Row, after: Row) -> None:
    (tenant_id, actor), (topic, subject) = by, what
    hidden = ("id", "created_at", "deleted_at", "venue", "user")
    old, new = ({k: v for k, v in row.items() if k not in hidden} for row in (before, after))
    if changes := audit.changed(old, new):
        await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic=topic, subject=subject, changes=changes)
