"""When staff work and when they do not: hours of the wall's clock at a venue, and time off."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.services.named import place_of, require_staff
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid, LimitExceeded, NotFound

HOURS_MAX: Final = 200
OFF_MAX: Final = 500


class HoursNotFound(NotFound):
    """No working hours of this business have this id."""

    code = "hours_not_found"


class TimeOffNotFound(NotFound):
    """No time off of this business has this id."""

    code = "time_off_not_found"


class HoursInvalid(Invalid):
    """Hours end after they begin, and are of a weekday or of one date."""

    code = "hours_invalid"


class HoursTooMany(LimitExceeded):
    """Somebody has as many rows of hours, or a business as many of time off, as are kept."""

    code = "hours_too_many"


@dataclass(frozen=True, slots=True)
class NewHours:
    """weekday: 1 is Monday; None: on the one date `valid_from`. Minutes of the wall since midnight."""

    staff_id: UUID
    venue_id: UUID
    weekday: int | None
    from_minute: int
    to_minute: int
    valid_from: date
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class NewTimeOff:
    """Of local time. staff_id None: nobody works at the venue. venue_id None: he works nowhere; then the zone is the business's."""

    staff_id: UUID | None
    venue_id: UUID | None
    local_from: datetime
    local_until: datetime
    reason: str


_COUNT_HOURS = "select count(*) from staff_hours where tenant_id = $1 and staff_id = $2 and deleted_at is null"
_COUNT_OFF = "select count(*) from staff_time_off where tenant_id = $1 and deleted_at is null and local_until > $2"
_LOCK_STAFF = "select id from staff where tenant_id = $1 and id = $2 for no key update"

_ADD_HOURS = """
insert into staff_hours (tenant_id, id, staff_id, venue_id, weekday, from_minute, to_minute, valid_from, valid_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_END_HOURS = (
    "update staff_hours set deleted_at = $3 where tenant_id = $1 and id = $2 and deleted_at is null returning staff_id"
)

_ADD_OFF = """
insert into staff_time_off (tenant_id, id, staff_id, venue_id, time_zone, local_from, local_until, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_END_OFF = (
    "update staff_time_off set deleted_at = $3 where tenant_id = $1 and id = $2 and deleted_at is null returning id"
)


async def add_hours(tx: Transaction, *, tenant_id: UUID, new: NewHours, actor: str) -> UUID:
    """Say when somebody works. Raises HoursInvalid, HoursTooMany, StaffNotFound, VenueNotFound."""
    if new.from_minute >= new.to_minute:
        raise _wrong("to", "hours end after they begin; those over midnight are two, the first until 24:00")
    if new.valid_until is not None and new.valid_until < new.valid_from:
        raise _wrong("valid_until", "the last day is before the first")
    await require_staff(tx, tenant_id=tenant_id, staff_id=new.staff_id)
    await place_of(tx, tenant_id=tenant_id, venue_id=new.venue_id)
    await tx.fetchval(_LOCK_STAFF, tenant_id, new.staff_id)
    if await tx.fetchval(_COUNT_HOURS, tenant_id, new.staff_id) >= HOURS_MAX:
        raise HoursTooMany(f"there are {HOURS_MAX} rows of hours already", hint="Delete those that are over.")
    hours_id = ids.new()
    times = (new.weekday, new.from_minute, new.to_minute, new.valid_from, new.valid_until)
    await tx.execute(_ADD_HOURS, tenant_id, hours_id, new.staff_id, new.venue_id, *times)
    changes = {"hours": ids.show(ids.STAFF_HOURS, hours_id), "venue": ids.show(ids.VENUE, new.venue_id)}
    await _tell(tx, tenant_id, actor, "staff.hours_added", ids.show(ids.STAFF, new.staff_id), changes)
    return hours_id


async def end_hours(tx: Transaction, *, tenant_id: UUID, hours_id: UUID, actor: str, now: datetime) -> None:
    """Take hours away; appointments in them stay. Raises HoursNotFound."""
    staff_id = await tx.fetchval(_END_HOURS, tenant_id, hours_id, now)
    shown = ids.show(ids.STAFF_HOURS, hours_id)
    if staff_id is None:
        raise HoursNotFound(f"there are no hours {shown}")
    await _tell(tx, tenant_id, actor, "staff.hours_deleted", ids.show(ids.STAFF, staff_id), {"hours": shown})


async def add_time_off(
    tx: Transaction, *, tenant_id: UUID, new: NewTimeOff, business_zone: str, actor: str, now: datetime
) -> UUID:
    """Say when somebody does not work, or nobody at a venue does. Raises HoursInvalid, HoursTooMany, StaffNotFound, VenueNotFound."""
    if new.local_from >= new.local_until:
        raise _wrong("until", "time off ends after it begins")
    if new.staff_id is None and new.venue_id is None:
        raise _wrong("staff", "say whose time off it is, or which venue is closed")
    if new.staff_id is not None:
        await require_staff(tx, tenant_id=tenant_id, staff_id=new.staff_id)
    zone = business_zone
    if new.venue_id is not None:
        zone = (await place_of(tx, tenant_id=tenant_id, venue_id=new.venue_id)).time_zone
    if await tx.fetchval(_COUNT_OFF, tenant_id, now.replace(tzinfo=None)) >= OFF_MAX:
        raise HoursTooMany(f"{OFF_MAX} times off are to come already", hint="Delete some, or unite them.")
    off_id = ids.new()
    of = (new.staff_id, new.venue_id, zone, new.local_from, new.local_until, new.reason)
    await tx.execute(_ADD_OFF, tenant_id, off_id, *of)
    subject = ids.show(ids.STAFF, new.staff_id) if new.staff_id else ids.show(ids.VENUE, of[1] or UUID(int=0))
    told = {"time_off": ids.show(ids.TIME_OFF, off_id), "from": str(new.local_from), "until": str(new.local_until)}
    await _tell(tx, tenant_id, actor, "staff.time_off_added", subject, told)
    return off_id


async def end_time_off(tx: Transaction, *, tenant_id: UUID, off_id: UUID, actor: str, now: datetime) -> None:
    """Take time off back. Raises TimeOffNotFound."""
    shown = ids.show(ids.TIME_OFF, off_id)
    if await tx.fetchval(_END_OFF, tenant_id, off_id, now) is None:
        raise TimeOffNotFound(f"there is no time off {shown}")
    await _tell(tx, tenant_id, actor, "staff.time_off_deleted", shown, {})


async def _tell(  # noqa: PLR0917
    tx: Transaction, tenant_id: UUID, actor: str, action: str, subject: str, changes: dict[str, Any]
) -> None:
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=subject, changes=changes)


def _wrong(field: str, message: str) -> HoursInvalid:
    return HoursInvalid(message, fields=(FieldError(field, "invalid", message),))
