"""Appointments: a staff member's time given to a customer, once.

What is offered is computed from what was read; whether a time is given is decided by the database: the staff member's row is locked,
his classes are looked at, and the exclusion constraint keeps his appointments apart. With anybody the next who is free is tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from bursar.apps.booking import policies
from bursar.apps.booking.bookings import deadlines, numbers, rows, staffed, telling
from bursar.apps.booking.bookings.models import STAFFED, Booking, Source
from bursar.apps.booking.bookings.paying import NOWHERE, Landing, ask_for_money
from bursar.apps.booking.bookings.refusals import BookingNotRequested
from bursar.apps.booking.bookings.staffed import StaffBusy
from bursar.apps.booking.policies import Terms
from bursar.apps.booking.services.availability import (
    Calendar,
    ServiceNotOffered,
    calendar_of,
    offer_of,
    offer_of_booking,
)
from bursar.apps.booking.services.models import Offer, Place
from bursar.apps.booking.services.named import place_of, require_staff
from bursar.kernel import ids
from bursar.kernel.db import Transaction, attempt
from bursar.kernel.errors import Conflict, FieldError, Invalid
from bursar.kernel.zones import local_day, zone_named
from bursar.money.customers import require_customer
from bursar.money.intake.accounts import GatewayAccountNotFound

_NUMBERS_MAX: Final = 20
_MOMENT: Final = timedelta(minutes=1)


class SlotNotOffered(Conflict):
    """No appointment can begin then: it is outside the hours, off the grid, too soon or too late."""

    code = "slot_not_offered"


class CustomerBusy(Conflict):
    """The customer has another booking at that time."""

    code = "customer_busy"


class CustomerBanned(Conflict):
    """The business does not let this customer book."""

    code = "customer_banned"


class AppointmentInvalid(Invalid):
    """Outside the hours an appointment says with whom and where, and begins in the future on a whole minute."""

    code = "appointment_invalid"


@dataclass(frozen=True, slots=True)
class NewAppointment:
    """staff_id None: whoever is free. override_reason: why staff gives a time that is not offered, or gives it without payment.

    is_paid_ahead: what is due is paid by checkout before it is sure; False needs a reason.
    """

    service_id: UUID
    tier_id: UUID
    customer_id: UUID
    starts_at: datetime
    staff_id: UUID | None = None
    venue_id: UUID | None = None
    source: Source = "online"
    is_paid_ahead: bool = True
    override_reason: str | None = None
    landing: Landing = NOWHERE


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who may give it, and where."""

    staff_id: UUID
    name: str
    place: Place


_ATTEND = "insert into attendee (tenant_id, customer_id) values ($1, $2) on conflict do nothing"
_LOCK_ATTENDEE = "select is_banned from attendee where tenant_id = $1 and customer_id = $2 for no key update"

_BUSY_CUSTOMER = """
select exists (select from booking
  where tenant_id = $1 and customer_id = $2 and starts_at < $4::timestamptz and starts_at > $3::timestamptz - interval '2 days'
    and ends_at > $3::timestamptz and status in ('requested', 'held', 'booked', 'attended')
    and (status <> 'held' or held_until > $5) and id is distinct from $6)
"""

_WRITE = f"""
insert into booking (tenant_id, id, number, customer_id, kind, service_id, tier_id, staff_id, venue_id, status, starts_at, ends_at,
  local_date, busy, source, paid_with, price_minor, due_minor, currency, terms, snapshot, cancel_by, held_until, override_reason, booked_by)
values ($1, $2, $3, $4, 'service', $5, $6, $7, $8, $9, $10, $11, $12, tstzrange($13, $14), $15, $16, $17, $18, $19, $20::text::jsonb,
  $21::text::jsonb, $22, $23, $24, $25)
on conflict (tenant_id, number) do nothing
returning {rows.COLUMNS}
"""

_ORDERED = f"update booking set order_id = $3 where tenant_id = $1 and id = $2 returning {rows.COLUMNS}"
_ACCOUNT = "select exists (select from gateway_account where tenant_id = $1 and id = $2)"
_SAY_YES = f"""
update booking set status = $3, held_until = $4, version = version + 1
where tenant_id = $1 and id = $2 and status = 'requested' returning {rows.COLUMNS}
"""


async def book(tx: Transaction, *, tenant_id: UUID, new: NewAppointment, actor: str, now: datetime) -> Booking:
    """Give a customer an appointment. What has to be paid ahead holds it until the payment is reported.

    Raises ServiceNotFound, TierNotFound, ServiceNotOffered, StaffNotFound, VenueNotFound, CustomerNotFound, SlotNotOffered, StaffBusy,
    CustomerBusy, AppointmentInvalid, and what `checkouts.start` raises.
    """
    await require_customer(tx, tenant_id=tenant_id, customer_id=new.customer_id)
    offer = await offer_of(tx, tenant_id=tenant_id, service_id=new.service_id, tier_id=new.tier_id)
    await _require_account(tx, tenant_id, new.landing.account_id)
    if not new.is_paid_ahead and new.override_reason is None:
        raise _invalid("is_paid_ahead", "what is given without payment has a reason")
    if not offer.is_published and new.override_reason is None:
        raise ServiceNotOffered(f"{offer.title} cannot be booked now", hint="Publish it, or give a reason.")
    candidates = await candidates_for(tx, tenant_id=tenant_id, offer=offer, new=new, now=now)
    await check_customer(tx, tenant_id=tenant_id, offer=offer, new=new, now=now)
    terms = await policies.terms_for(tx, tenant_id=tenant_id, policy_id=offer.policy_id)
    made = await _with_first_free(
        tx, tenant_id=tenant_id, offer=offer, new=new, candidates=candidates, terms=terms, actor=actor, now=now
    )
    if made.status == "held":
        told_at = None if made.source in STAFFED else now
        made = await _ask_for_money(
            tx, tenant_id=tenant_id, made=made, offer=offer, landing=new.landing, actor=actor, told_at=told_at
        )
    await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
    await _tell_made(tx, tenant_id=tenant_id, made=made, reason=new.override_reason, actor=actor, now=now)
    return made


async def confirm(
    tx: Transaction, *, tenant_id: UUID, booking_id: UUID, landing: Landing, actor: str, now: datetime
) -> Booking:
    """Say yes to an appointment that was requested; what has to be paid ahead holds it until then, as ever.

    Raises BookingNotFound, BookingNotRequested, ServiceNotFound, TierNotFound, and what `checkouts.start` raises.
    """
    await _require_account(tx, tenant_id, landing.account_id)
    before = await rows.locked_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if before.kind != "service" or before.status != "requested" or before.starts_at <= now:
        raise BookingNotRequested(
            f"the appointment is {before.status}", hint="Only one that is requested is confirmed."
        )
    is_due = before.due_minor is not None
    until = now + timedelta(minutes=before.terms.hold_minutes) if is_due else None
    status = "held" if is_due else "booked"
    made = rows.read(await tx.fetchrow(_SAY_YES, tenant_id, booking_id, status, until))
    if is_due:
        offer = await offer_of_booking(tx, tenant_id=tenant_id, booking=before)
        made = await _ask_for_money(tx, tenant_id=tenant_id, made=made, offer=offer, landing=landing, actor=actor)
        await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
    topic = "booking.held" if is_due else telling.BOOKED
    fact = telling.of_booking(topic, made, letter=telling.TO_PAY if is_due else topic)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now)
    return made


async def candidates_for(
    tx: Transaction, *, tenant_id: UUID, offer: Offer, new: NewAppointment, now: datetime, moving: UUID | None = None
) -> list[Candidate]:
    """Return who may give it then, who has least to do about that time first. Raises SlotNotOffered, StaffBusy, and what is unknown."""
    if new.starts_at.second or new.starts_at.microsecond:
        raise _invalid("starts_at", "an appointment begins on a whole minute")
    if new.override_reason is not None:
        return [await _named(tx, tenant_id=tenant_id, new=new, now=now)]
    if new.venue_id is not None:
        await place_of(tx, tenant_id=tenant_id, venue_id=new.venue_id)
    calendar = await calendar_of(
        tx,
        tenant_id=tenant_id,
        offer=offer,
        staff_id=new.staff_id,
        since=new.starts_at,
        until=new.starts_at + _MOMENT,
        now=now,
        moving=moving,
    )
    found = [slot for slot in calendar.free() if new.venue_id in (None, slot.venue_id)]
    if not found:
        raise _not_free(calendar, new)
    names = dict(offer.staff)
    load = {slot.staff_id: sum(t.staff_id == slot.staff_id for t in calendar.taken) for slot in found}
    ordered = sorted(found, key=lambda slot: (load[slot.staff_id], slot.staff_id, slot.venue_id))
    return [Candidate(s.staff_id, names[s.staff_id], calendar.places[s.venue_id]) for s in ordered]


async def check_customer(
    tx: Transaction, *, tenant_id: UUID, offer: Offer, new: NewAppointment, now: datetime, moving: UUID | None = None
) -> None:
    """Refuse who may not book, and two places at a time; the customer's own requests queue up. Raises CustomerBanned, CustomerBusy."""
    await tx.execute(_ATTEND, tenant_id, new.customer_id)
    is_banned = await tx.fetchval(_LOCK_ATTENDEE, tenant_id, new.customer_id)
    if new.override_reason is not None:
        return
    if is_banned:
        raise CustomerBanned("the customer may not book", hint="Ask at the desk. Staff may book with a reason.")
    ends_at = new.starts_at + offer.work.duration
    if await tx.fetchval(_BUSY_CUSTOMER, tenant_id, new.customer_id, new.starts_at, ends_at, now, moving):
        raise CustomerBusy("the customer has another booking at that time", hint="Cancel or move that one first.")


async def take(
    tx: Transaction, *, tenant_id: UUID, staff_id: UUID, busy: tuple[datetime, datetime], now: datetime
) -> None:
    """Let nobody else give this time away, and see that it is free of classes. Raises StaffBusy."""
    await staffed.lock_staff(tx, tenant_id=tenant_id, staff_ids=[staff_id])
    await staffed.make_room(tx, tenant_id=tenant_id, staff_id=staff_id, busy=busy, now=now)


def busy_of(offer: Offer, starts_at: datetime) -> tuple[datetime, datetime]:
    """Return from when to when whoever gives it is taken."""
    return starts_at - offer.work.before, starts_at + offer.work.duration + offer.work.after


def snapshot_of(offer: Offer, candidate: Candidate, starts_at: datetime) -> str:
    """Return what is kept of what was booked, as it was."""
    told = {
        "title": offer.title,
        "tier": offer.tier_name,
        "venue": candidate.place.name,
        "staff": candidate.name,
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + offer.work.duration).isoformat(),
        "time_zone": candidate.place.time_zone,
    }
    return msgspec.json.encode(told).decode()


def date_of(candidate: Candidate, starts_at: datetime) -> date:
    """Return the date of an appointment where it is given."""
    return local_day(starts_at, zone_named(candidate.place.time_zone))


async def _with_first_free(
    tx: Transaction,
    *,
    tenant_id: UUID,
    offer: Offer,
    new: NewAppointment,
    candidates: Sequence[Candidate],
    terms: Terms,
    actor: str,
    now: datetime,
) -> Booking:
    """Write the appointment with the first who is still free. What another one's attempt locked is let go of."""
    refusal = staffed.taken()
    for candidate in candidates:
        try:
            async with attempt(tx):
                busy = busy_of(offer, new.starts_at)
                await take(tx, tenant_id=tenant_id, staff_id=candidate.staff_id, busy=busy, now=now)
                values = _values(offer, new, candidate, terms=terms, actor=actor, now=now)
                return await _write(tx, tenant_id, values)
        except (StaffBusy, asyncpg.ExclusionViolationError):
            continue
    raise refusal


def _values(
    offer: Offer, new: NewAppointment, candidate: Candidate, *, terms: Terms, actor: str, now: datetime
) -> tuple[Any, ...]:
    is_due = offer.due_minor is not None and new.is_paid_ahead
    status = "requested" if _is_requested(terms, new) else "held" if is_due else "booked"
    held_until = now + timedelta(minutes=terms.hold_minutes) if status == "held" else None
    what = (offer.service_id, offer.tier_id, candidate.staff_id, candidate.place.id)
    times = (new.starts_at, new.starts_at + offer.work.duration, date_of(candidate, new.starts_at))
    money = (offer.price_minor, offer.due_minor if is_due else None, offer.currency)
    kept = (terms.canonical(), snapshot_of(offer, candidate, new.starts_at))
    paid_with = "money" if is_due else "nothing"
    return (
        *(new.customer_id, *what, status, *times, *busy_of(offer, new.starts_at), new.source, paid_with, *money),
        *(*kept, policies.cancel_by(terms, new.starts_at), held_until, new.override_reason, actor),
    )


def _is_requested(terms: Terms, new: NewAppointment) -> bool:
    return terms.needs_approval and new.source == "online"


async def _write(tx: Transaction, tenant_id: UUID, values: Sequence[Any]) -> Booking:
    for _ in range(_NUMBERS_MAX):
        row = await tx.fetchrow(_WRITE, tenant_id, ids.new(), numbers.number(), *values)
        if row:
            return rows.read(row)
    raise AssertionError("twenty random numbers were taken: there is no room for bookings, or no randomness")


async def _ask_for_money(
    tx: Transaction,
    *,
    tenant_id: UUID,
    made: Booking,
    offer: Offer,
    landing: Landing,
    actor: str,
    told_at: datetime | None = None,
) -> Booking:
    """Start the checkout of what is due. told_at: when the customer is told of it, where he pays at the desk; None: by others."""
    order_id = await ask_for_money(
        tx,
        tenant_id=tenant_id,
        customer_id=made.customer_id,
        price_id=offer.due_price_id,
        landing=landing,
        actor=actor,
        telling_of=made.id if told_at else None,
        now=told_at,
    )
    return rows.read(await tx.fetchrow(_ORDERED, tenant_id, made.id, order_id))


async def _tell_made(
    tx: Transaction, *, tenant_id: UUID, made: Booking, reason: str | None, actor: str, now: datetime
) -> None:
    topic = {"held": "booking.held", "requested": telling.REQUESTED}.get(made.status, telling.BOOKED)
    fact = telling.of_booking(topic, made, letter=None if made.status == "held" else topic)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now, reason=reason)


async def _require_account(tx: Transaction, tenant_id: UUID, account_id: UUID | None) -> None:
    """Refuse an account that is not there, also where nothing has to be paid."""
    if account_id and not await tx.fetchval(_ACCOUNT, tenant_id, account_id):
        raise GatewayAccountNotFound(f"there is no gateway account {ids.show(ids.GATEWAY_ACCOUNT, account_id)}")


async def _named(tx: Transaction, *, tenant_id: UUID, new: NewAppointment, now: datetime) -> Candidate:
    """Return whom staff chose, whatever the hours say."""
    if new.staff_id is None or new.venue_id is None:
        raise _invalid("staff", "outside what is offered say with whom, and at which venue")
    if new.starts_at <= now:
        raise _invalid("starts_at", "an appointment begins in the future")
    name = await require_staff(tx, tenant_id=tenant_id, staff_id=new.staff_id)
    return Candidate(new.staff_id, name, await place_of(tx, tenant_id=tenant_id, venue_id=new.venue_id))


def _not_free(calendar: Calendar, new: NewAppointment) -> StaffBusy | SlotNotOffered:
    if any(new.venue_id in (None, slot.venue_id) for slot in calendar.offered()):
        return staffed.taken()
    return SlotNotOffered(
        "no appointment can begin then",
        hint="Ask GET /v1/availability. Staff may give another time with a reason, saying with whom and where.",
    )


def _invalid(field: str, message: str) -> AppointmentInvalid:
    return AppointmentInvalid(message, fields=(FieldError(field, "invalid", message),))
