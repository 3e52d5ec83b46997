"""Classes to come follow their template: all of them at once, but for those that somebody edited alone."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from bursar.apps.booking.schedule.classes import COLUMNS, instance
from bursar.apps.booking.schedule.materialising import slots_of
from bursar.apps.booking.schedule.models import ClassInstance, Template
from bursar.apps.booking.schedule.refusals import below_booked, have_bookings
from bursar.apps.booking.schedule.telling import have_waitlists_served, opens_seats
from bursar.kernel.db import Transaction

_RETIMED: Final = ("rrule", "starts_on", "ends_on", "local_start", "duration_min", "time_zone", "venue_id")

# In the order of their ids, in which everybody locks classes.
_FUTURE = f"""
select {COLUMNS} from class_instance c
where c.tenant_id = $1 and c.template_id = $2 and c.slot >= $3 and c.starts_at > $4 and c.status = 'scheduled'
order by c.id for no key update
"""

_REPARENT = "update class_instance set template_id = $3 where tenant_id = $1 and template_id = $2 and slot >= $4"

_DELETE = (
    "update class_instance set status = 'deleted', version = version + 1 where tenant_id = $1 and id = any($2::uuid[])"
)

_COPY = """
update class_instance c
set venue_id = t.venue_id, room_id = t.room_id, staff_id = t.staff_id, policy_id = t.policy_id, price_id = t.price_id,
  deposit_percent = t.deposit_percent, title = t.title, about = t.about, category = t.category, credit_cost = t.credit_cost, pools = t.pools, requirements = t.requirements,
  is_published = t.is_published, capacity = t.capacity, overbook = greatest(c.held + c.booked - t.capacity, 0),
  version = c.version + 1
from class_template t
where c.tenant_id = $1 and c.id = any($3::uuid[]) and t.tenant_id = $1 and t.id = $2
"""

_PLACE = """
update class_instance c
set local_date = n.day, local_start = $5, time_zone = $6, starts_at = n.starts_at, ends_at = n.starts_at + $7 * interval '1 minute',
  is_shifted = n.is_shifted
from unnest($2::uuid[], $3::date[], $4::timestamptz[], $8::bool[]) as n (id, day, starts_at, is_shifted)
where c.tenant_id = $1 and c.id = n.id
"""


async def future_of(
    tx: Transaction, *, tenant_id: UUID, template_id: UUID, since: date, now: datetime
) -> tuple[ClassInstance, ...]:
    """Return a template's classes to come from one of its days on, locked."""
    return tuple(map(instance, await tx.fetch(_FUTURE, tenant_id, template_id, since, now)))


async def reparent(tx: Transaction, *, tenant_id: UUID, old: UUID, new: UUID, since: date) -> None:
    """Give a template's days from one on to another template: deleted and cancelled ones too, so that they are not made again."""
    await tx.execute(_REPARENT, tenant_id, old, new, since)


async def delete_from(tx: Transaction, *, tenant_id: UUID, class_ids: Sequence[UUID]) -> None:
    """Take classes back that nobody booked. What their rule comes back to is made again."""
    await tx.execute(_DELETE, tenant_id, list(class_ids))


async def reshape(
    tx: Transaction, *, tenant_id: UUID, before: Template, after: Template, since: date, now: datetime
) -> None:
    """Let the classes to come of the template `after` be as it says. Raises ClassesHaveBookings, CapacityBelowBooked."""
    future = await future_of(tx, tenant_id=tenant_id, template_id=after.id, since=since, now=now)
    own = [each for each in future if not each.is_edited]
    if full := [each for each in own if each.taken > after.capacity and after.capacity < before.capacity]:
        raise below_booked(after.capacity, full)
    if any(getattr(before, name) != getattr(after, name) for name in _RETIMED):
        own = await _place(tx, tenant_id, after, own, now)
    await tx.execute(_COPY, tenant_id, after.id, [each.id for each in own])
    if any(opens_seats(each, after) for each in own):
        await have_waitlists_served(tx, tenant_id=tenant_id)


async def _place(
    tx: Transaction, tenant_id: UUID, after: Template, own: Sequence[ClassInstance], now: datetime
) -> list[ClassInstance]:
    """Move classes to where their days are now and delete those that have none any more; return those that stay."""
    last = max((each.slot for each in own if each.slot), default=after.starts_on)
    placed = {slot.day: slot.placed for slot in slots_of(after, last, now)}
    stays = [each for each in own if each.slot in placed]
    gone = [each for each in own if each.slot not in placed]
    # Whoever booked did so for that time; for a shorter or longer class too.
    moved = [
        each
        for each in stays
        if each.slot
        and (
            each.starts_at != placed[each.slot].at
            or each.duration_min != after.duration_min
            or each.venue_id != after.venue_id
        )
    ]
    if busy := [each for each in (*gone, *moved) if each.taken or each.waiting]:
        raise have_bookings("classes would move or vanish", busy)
    await delete_from(tx, tenant_id=tenant_id, class_ids=[each.id for each in gone])
    days = [each.slot for each in stays if each.slot]
    await tx.execute(
        _PLACE,
        tenant_id,
        [each.id for each in stays],
        days,
        [placed[day].at for day in days],
        after.local_start,
        after.time_zone,
        after.duration_min,
        [placed[day].is_shifted for day in days],
    )
    return stays
