"""Availability: the slots of a tier, from five statements and one pure function."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.services.models import Offer, Place
from bursar.apps.booking.services.named import require_staff
from bursar.apps.booking.services.offering import ServiceNotFound, TierNotFound
from bursar.apps.booking.services.slots import Hours, Slot, Taken, TimeOff, Work, slots
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid
from bursar.kernel.zones import zone_named

DAYS_MAX: Final = 31


class WindowInvalid(Invalid):
    """What is asked about ends before it begins, or is longer than a month."""

    code = "window_invalid"


class ServiceNotOffered(Conflict):
    """The service is not published; it cannot be booked by customers now."""

    code = "service_not_offered"


_OFFER = """
select s.id as service_id, t.id as tier_id, s.name as title, t.name as tier_name, s.policy_id, s.slot_min, s.lead_min, s.horizon_days,
  s.is_published, s.deleted_at as gone, t.deleted_at as tier_gone, t.duration_min, t.before_min, t.after_min, p.amount_minor as price_minor,
  p.currency, coalesce(d.id, p.id) as due_price_id, coalesce(d.amount_minor, p.amount_minor) as due_minor
from service s
left join tier t on t.tenant_id = s.tenant_id and t.service_id = s.id and t.id = $3
left join price p on p.tenant_id = t.tenant_id and p.id = t.price_id
left join price d on d.tenant_id = t.tenant_id and d.id = t.deposit_price_id
where s.tenant_id = $1 and s.id = $2
"""

_STAFF = """
select f.id, f.name from staff_skill k join staff f on f.tenant_id = k.tenant_id and f.id = k.staff_id
where k.tenant_id = $1 and k.service_id = $2 and k.ended_at is null and f.deleted_at is null
  and (k.tier_ids = '{}' or $3 = any(k.tier_ids))
order by f.id limit 200
"""

# Where a venue has opening hours, nobody works outside them.
_HOURS = """
select h.staff_id, h.venue_id, v.name, v.time_zone, h.weekday, greatest(h.from_minute, coalesce(w.opens, 0)) as from_minute,
  least(h.to_minute, coalesce(w.closes, 1440)) as to_minute, h.valid_from, h.valid_until
from staff_hours h
join venue v on v.tenant_id = h.tenant_id and v.id = h.venue_id
left join (
  select tenant_id, venue_id, weekday, opens_min as opens, closes_min as closes from venue_hours
  union all
  select tenant_id, venue_id, weekday % 7 + 1, opens_min - 1440, closes_min - 1440 from venue_hours where closes_min > 1440
) w on w.tenant_id = h.tenant_id and w.venue_id = h.venue_id
  and w.weekday = coalesce(h.weekday, extract(isodow from h.valid_from))
where h.tenant_id = $1 and h.staff_id = any($2::uuid[]) and h.deleted_at is null and v.deleted_at is null
  and h.valid_from <= $4::date and (h.valid_until is null or h.valid_until >= $3::date)
  and (w.venue_id is not null or not exists (select from venue_hours x where x.tenant_id = h.tenant_id and x.venue_id = h.venue_id))
  and greatest(h.from_minute, coalesce(w.opens, 0)) < least(h.to_minute, coalesce(w.closes, 1440))
"""

_OFF = """
select o.staff_id, o.venue_id, o.time_zone, o.local_from, o.local_until from staff_time_off o
where o.tenant_id = $1 and o.deleted_at is null and o.local_until > $3 and o.local_from < $4
  and (o.staff_id is null or o.staff_id = any($2::uuid[]))
union all
select null, d.venue_id, v.time_zone, d.day::timestamp, (d.day + 1)::timestamp from venue_closed_day d
join venue v on v.tenant_id = d.tenant_id and v.id = d.venue_id
where d.tenant_id = $1 and d.day >= $3::date and d.day <= $4::date
"""

# A hold that is over takes nobody's time: whoever books ends it first. Nothing is longer than two days with its buffers.
_TAKEN = """
select b.staff_id, lower(b.busy) as starts_at, upper(b.busy) as ends_at from unnest($2::uuid[]) as f (id) cross join lateral (
  select staff_id, busy from booking
  where tenant_id = $1 and staff_id = f.id and starts_at >= $3::timestamptz - interval '2 days' and starts_at < $4::timestamptz + interval '2 days'
    and kind = 'service' and status in ('requested', 'held', 'booked', 'attended') and (status <> 'held' or held_until > $5)
    and id is distinct from $6
  offset 0
) b
union all
select c.staff_id, c.starts_at, c.ends_at from unnest($2::uuid[]) as f (id) cross join lateral (
  select staff_id, starts_at, ends_at from class_instance
  where tenant_id = $1 and staff_id = f.id and starts_at >= $3::timestamptz - interval '2 days' and starts_at < $4::timestamptz + interval '2 days'
    and status = 'scheduled'
  offset 0
) c
"""


async def offer_of(tx: Transaction, *, tenant_id: UUID, service_id: UUID, tier_id: UUID) -> Offer:
    """Return a tier as it is booked, with those who give it. Raises ServiceNotFound, TierNotFound."""
    row = await tx.fetchrow(_OFFER, tenant_id, service_id, tier_id)
    if row is None or row["gone"]:
        raise ServiceNotFound(f"there is no service {ids.show(ids.SERVICE, service_id)}")
    if row["tier_id"] is None or row["tier_gone"]:
        raise TierNotFound(
            f"there is no tier {ids.show(ids.TIER, tier_id)} of this service", hint="Read the service for its tiers."
        )
    staff = await tx.fetch(_STAFF, tenant_id, service_id, tier_id)
    minutes = {name: timedelta(minutes=row[f"{name}_min"]) for name in ("duration", "before", "after", "lead")}
    work = Work(minutes["duration"], minutes["before"], minutes["after"], row["slot_min"])
    told = ("title", "tier_name", "policy_id", "is_published", "price_minor", "currency", "due_price_id", "due_minor")
    return Offer(
        service_id=service_id,
        tier_id=tier_id,
        lead=minutes["lead"],
        horizon=timedelta(days=row["horizon_days"]),
        work=work,
        staff=tuple((each["id"], each["name"]) for each in staff),
        **{name: row[name] for name in told},
    )


async def offer_of_booking(tx: Transaction, *, tenant_id: UUID, booking: Booking) -> Offer:
    """Return the tier that an appointment is of, as it is booked now. Raises ServiceNotFound, TierNotFound."""
    assert booking.service_id is not None, "an appointment is of a service"
    assert booking.tier_id is not None, "and of one of its tiers"
    return await offer_of(tx, tenant_id=tenant_id, service_id=booking.service_id, tier_id=booking.tier_id)


@dataclass(frozen=True, slots=True)
class Calendar:
    """What decides which slots there are between two instants. places: by venue."""

    offer: Offer
    since: datetime
    until: datetime
    hours: tuple[Hours, ...]
    off: tuple[TimeOff, ...]
    taken: tuple[Taken, ...]
    places: dict[UUID, Place]

    def free(self) -> list[Slot]:
        """Return the slots that can be booked."""
        return self._slots(self.taken)

    def offered(self) -> list[Slot]:
        """Return the slots that there would be if nobody were taken."""
        return self._slots(())

    def _slots(self, taken: Sequence[Taken]) -> list[Slot]:
        if self.since >= self.until:
            return []
        work = self.offer.work
        return slots(hours=self.hours, off=self.off, taken=taken, work=work, since=self.since, until=self.until)


async def calendar_of(
    tx: Transaction,
    *,
    tenant_id: UUID,
    offer: Offer,
    staff_id: UUID | None,
    since: datetime,
    until: datetime,
    now: datetime,
    moving: UUID | None = None,
    is_bound: bool = True,
) -> Calendar:
    """Read what decides which slots of a tier begin in [since, until).

    moving: an appointment that takes nobody's time, because it is what moves. is_bound: by the rules of how soon and how late.
    Raises StaffNotFound, WindowInvalid.
    """
    check_window(since, until)
    if staff_id is not None:
        await require_staff(tx, tenant_id=tenant_id, staff_id=staff_id)
    who = [each for each, _ in offer.staff if staff_id in (None, each)]
    if is_bound:
        since, until = max(since, now + offer.lead), min(until, now + offer.horizon)
    if not who or since >= until:
        return Calendar(offer, since, until, (), (), (), {})
    first, last = since - timedelta(days=2), until + timedelta(days=2)
    rows = await tx.fetch(_HOURS, tenant_id, who, first.date(), last.date())
    off = await tx.fetch(_OFF, tenant_id, who, first.replace(tzinfo=None), last.replace(tzinfo=None))
    taken = await tx.fetch(_TAKEN, tenant_id, who, since, until, now, moving)
    return Calendar(
        offer,
        since,
        until,
        tuple(_hours(row) for row in rows),
        tuple(_off(row) for row in off),
        tuple(Taken(row["staff_id"], row["starts_at"], row["ends_at"]) for row in taken),
        {row["venue_id"]: Place(row["venue_id"], row["name"], row["time_zone"]) for row in rows},
    )


def check_window(since: datetime, until: datetime) -> None:
    """Raises WindowInvalid."""
    if since >= until:
        raise _wrong("to", "it ends before it begins")
    if until - since > timedelta(days=DAYS_MAX, hours=1):  # a month in which clocks are set back has an hour more
        raise _wrong("to", f"at most {DAYS_MAX} days are searched at once")
    if since.year < 2000 or until.year > 2998:  # noqa: PLR2004
        raise _wrong("from", "days lie between 2000 and 2998")


def grouped(found: Sequence[Slot]) -> list[tuple[Slot, list[UUID]]]:
    """Return each time at each venue once, with everybody who is free then."""
    by_time: dict[tuple[datetime, UUID], tuple[Slot, list[UUID]]] = {}
    for slot in found:
        by_time.setdefault((slot.starts_at, slot.venue_id), (slot, []))[1].append(slot.staff_id)
    return list(by_time.values())


def _hours(row: Any) -> Hours:
    return Hours(
        staff_id=row["staff_id"],
        venue_id=row["venue_id"],
        zone=zone_named(row["time_zone"]),
        weekday=row["weekday"],
        from_minute=row["from_minute"],
        to_minute=row["to_minute"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
    )


def _off(row: Any) -> TimeOff:
    return TimeOff(
        row["staff_id"], row["venue_id"], zone_named(row["time_zone"]), row["local_from"], row["local_until"]
    )


def _wrong(field: str, message: str) -> WindowInvalid:
    return WindowInvalid(
        message, hint="Ask for a shorter window.", fields=(FieldError(field, "window_invalid", message),)
    )
