"""What a customer sees of his own: bookings, places on waitlists, credits. Who he is was decided before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.taxes import Tax
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction

AHEAD_MAX: Final = 100
PAST_AT_ONCE: Final = 20
LOTS_MAX: Final = 100

_OPEN: Final = ("requested", "held", "booked")


@dataclass(frozen=True, slots=True)
class Own:
    """A booking as its customer sees it. pay: the gateway's call that opens the page on which it is paid.

    money: what it costs, the coupon taken off and the tax in. off: what the coupon takes off. is_at_desk: it waits for money that is paid there.
    """

    id: UUID
    number: str
    customer_id: UUID
    kind: str
    class_id: UUID | None
    title: str
    status: str
    seats: int
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    venue: str
    address: str
    room: str | None
    staff: str | None
    name: str | None
    paid_with: str
    credit_cost: int
    money: Money | None
    due: Money | None
    off: Money | None
    tax: Money | None
    tax_told: str
    coupon: str | None
    cancel_by: datetime
    held_until: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str | None
    cancel_reason: str | None
    credits_back: str | None
    version: int
    created_at: datetime
    changed_at: datetime
    call_id: UUID | None
    call_state: str | None
    sealed_url: bytes | None
    session_status: str | None
    is_paid: bool
    is_offer: bool
    is_at_desk: bool

    @property
    def public_id(self) -> str:
        return ids.show(ids.BOOKING, self.id)

    @property
    def is_part_paid(self) -> bool:
        """True where a deposit made it sure, and the rest is paid later."""
        return self.money is not None and self.due is not None and 0 < self.due.minor < self.money.minor

    @property
    def rest(self) -> Money | None:
        """What is paid at the desk, where a deposit is paid ahead."""
        if self.money is None or self.due is None or not self.is_part_paid:
            return None
        return Money(self.money.minor - self.due.minor, self.money.currency)

    @property
    def class_public_id(self) -> str | None:
        return ids.show(ids.CLASS, self.class_id) if self.class_id else None

    @property
    def told(self) -> str:
        return times.told(self.starts_at, self.time_zone)

    @property
    def begins(self) -> str:
        return times.clock(self.starts_at, self.time_zone)

    @property
    def ends(self) -> str:
        return times.clock(self.ends_at, self.time_zone)

    @property
    def zone_short(self) -> str:
        return times.letters(self.starts_at, self.time_zone)

    @property
    def cancel_by_told(self) -> str:
        return times.told(self.cancel_by, self.time_zone)

    @property
    def held_until_told(self) -> str | None:
        return times.told(self.held_until, self.time_zone) if self.held_until else None

    @property
    def is_open(self) -> bool:
        """True while it can be given up."""
        return self.status in _OPEN

    @property
    def waits_for_money(self) -> bool:
        return self.status == "held" and self.call_id is not None

    def may_cancel(self, now: datetime) -> bool:
        return self.is_open and (self.starts_at > now or self.status != "booked")

    def may_move(self, now: datetime) -> bool:
        return self.kind == "class" and self.status == "booked" and self.starts_at > now


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place on a waitlist. ahead: how many wait before."""

    id: UUID
    class_id: UUID
    title: str
    starts_at: datetime
    time_zone: str
    seats: int
    status: str
    offered_until: datetime | None
    ahead: int

    @property
    def public_id(self) -> str:
        return ids.show(ids.WAITLIST_ENTRY, self.id)

    @property
    def class_public_id(self) -> str:
        return ids.show(ids.CLASS, self.class_id)

    @property
    def told(self) -> str:
        return times.told(self.starts_at, self.time_zone)

    @property
    def offered_until_told(self) -> str | None:
        return times.told(self.offered_until, self.time_zone) if self.offered_until else None


@dataclass(frozen=True, slots=True)
class Lot:
    """Credits that end together. expires: local, with its zone; None: they do not end."""

    pool: str
    remaining: int
    granted: int
    is_suspended: bool
    begins: str | None
    expires: str | None


@dataclass(frozen=True, slots=True)
class Details:
    """Who the customer is, as far as the business knows."""

    name: str | None
    phone: str | None


_COLUMNS: Final = """b.id, b.number, b.customer_id, b.kind, b.class_id, coalesce(c.title, b.snapshot ->> 'title', '') as title, b.status, b.seats,
  b.starts_at, b.ends_at, coalesce(c.time_zone, b.snapshot ->> 'time_zone', v.time_zone) as time_zone, v.name as venue, v.address,
  r.name as room, s.name as staff, u.name, b.paid_with, b.credit_cost, b.price_minor, b.due_minor, b.discount_minor, b.tax_bp, b.tax_included, b.tax_minor,
  (select k.code from coupon k where k.tenant_id = b.tenant_id and k.id = b.coupon_id) as coupon, b.currency, b.cancel_by, b.held_until,
  b.cancelled_at, b.cancelled_by, b.cancel_reason, b.credits_back, b.version, b.created_at,
  coalesce(b.cancelled_at, b.attended_at, b.created_at) as changed_at,
  k.id as call_id, k.state as call_state, k.url as sealed_url, n.status as session_status,
  coalesce(n.payment_status in ('paid', 'no_payment_required'), false) as is_paid,
  b.status = 'held' and b.order_id is null and b.held_until > $3 as is_offer,
  b.status = 'held' and b.order_id is not null and o.id is null as is_at_desk"""

_FROM: Final = """from booking b
join venue v on v.tenant_id = b.tenant_id and v.id = b.venue_id
join customer u on u.tenant_id = b.tenant_id and u.id = b.customer_id and u.erased_at is null
left join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id
left join room r on r.tenant_id = c.tenant_id and r.id = c.room_id
left join staff s on s.tenant_id = b.tenant_id and s.id = coalesce(b.staff_id, c.staff_id)
left join checkout o on o.tenant_id = b.tenant_id and o.order_id = b.order_id
left join gateway_call k on k.tenant_id = o.tenant_id and k.id = o.call_id
left join checkout_session n on n.tenant_id = o.tenant_id and n.gateway_account_id = o.gateway_account_id and n.gateway_ref = k.ref"""

_ONE = f"select {_COLUMNS} {_FROM} where b.tenant_id = $1 and b.id = $2"

_AHEAD = f"""
select {_COLUMNS} {_FROM}
where b.tenant_id = $1 and b.customer_id = any($2::uuid[]) and b.ends_at > $3 and b.status in ('requested', 'held', 'booked', 'attended')
order by b.starts_at, b.id limit {AHEAD_MAX}
"""

_PAST = f"""
select {_COLUMNS} {_FROM}
where b.tenant_id = $1 and b.customer_id = any($2::uuid[])
  and (b.ends_at <= $3 or b.status not in ('requested', 'held', 'booked', 'attended')) and b.id < $4
order by b.id desc limit {PAST_AT_ONCE + 1}
"""

_IN_CLASS = """
select b.id from booking b
where b.tenant_id = $1 and b.class_id = $2 and b.customer_id = any($3::uuid[]) and b.status in ('requested', 'held', 'booked', 'attended')
order by b.id desc limit 1
"""

_WAITING = """
select e.id, e.class_id, c.title, c.starts_at, c.time_zone, e.seats, e.status, e.offered_until,
  (select count(*) from waitlist_entry x where x.tenant_id = e.tenant_id and x.class_id = e.class_id and x.status = 'waiting' and x.seq < e.seq) as ahead
from waitlist_entry e join class_instance c on c.tenant_id = e.tenant_id and c.id = e.class_id
where e.tenant_id = $1 and e.customer_id = any($2::uuid[]) and e.status in ('waiting', 'offered') and c.starts_at > $3
order by c.starts_at, e.id limit 100
"""

_LOTS = f"""
select l.pool, l.remaining, l.granted, l.is_suspended, case when l.effective_at > $3 then l.effective_at end as begins_at, l.expires_at
from credit_lot l
where l.tenant_id = $1 and l.customer_id = any($2::uuid[]) and l.remaining > 0 and (l.expires_at is null or l.expires_at > $3)
order by l.expires_at nulls last, l.id limit {LOTS_MAX}
"""

_DETAILS = """
select name, phone from customer where tenant_id = $1 and id = any($2::uuid[]) order by name is null, id desc limit 1
"""


async def own_booking(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, now: datetime) -> Own | None:
    """Return one booking; None where there is none, or its customer was erased."""
    row = await tx.fetchrow(_ONE, tenant_id, booking_id, now)
    return _own(row) if row else None


async def bookings_ahead(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID], now: datetime) -> list[Own]:
    """Return what customers have before them, the next first."""
    return [_own(row) for row in await tx.fetch(_AHEAD, tenant_id, list(customers), now)]


async def bookings_past(
    tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID], before: UUID, now: datetime
) -> tuple[list[Own], str | None]:
    """Return what customers had or gave up, newest first, and where the next page begins."""
    rows = await tx.fetch(_PAST, tenant_id, list(customers), now, before)
    found = [_own(row) for row in rows[:PAST_AT_ONCE]]
    return found, found[-1].public_id if len(rows) > PAST_AT_ONCE else None


async def booking_in(tx: Transaction, *, tenant_id: UUID, class_id: UUID, customers: Sequence[UUID]) -> UUID | None:
    """Return the live booking that customers have of a class."""
    found: UUID | None = await tx.fetchval(_IN_CLASS, tenant_id, class_id, list(customers))
    return found


async def waiting(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID], now: datetime) -> list[Waiting]:
    """Return where customers wait."""
    return [Waiting(**dict(row)) for row in await tx.fetch(_WAITING, tenant_id, list(customers), now)]


async def lots(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID], zone: str, now: datetime) -> list[Lot]:
    """Return the credits of customers that have not ended, soonest-ending first. zone: in which their end is told."""
    rows = await tx.fetch(_LOTS, tenant_id, list(customers), now)
    return [
        Lot(
            row["pool"],
            row["remaining"],
            row["granted"],
            row["is_suspended"],
            times.told(row["begins_at"], zone) if row["begins_at"] else None,
            times.told(row["expires_at"], zone) if row["expires_at"] else None,
        )
        for row in rows
    ]


async def details(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID]) -> Details:
    """Return what is known of who somebody is."""
    row = await tx.fetchrow(_DETAILS, tenant_id, list(customers))
    return Details(row["name"], row["phone"]) if row else Details(None, None)


def _own(row: Any) -> Own:
    told = dict(row)
    price, due, currency = told.pop("price_minor"), told.pop("due_minor"), told.pop("currency")
    off, tax_minor = told.pop("discount_minor"), told.pop("tax_minor")
    tax = Tax(told.pop("tax_bp"), told.pop("tax_included"))
    added = tax_minor if tax.is_added else 0
    return Own(
        **told,
        money=Money(price - off + added, currency) if price is not None and currency else None,
        due=Money(due, currency) if due is not None and currency else None,
        off=Money(off, currency) if off and currency else None,
        tax=Money(tax_minor, currency) if tax_minor and currency else None,
        tax_told=tax.told,
    )
