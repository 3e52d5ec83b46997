"""The queue: free seats are given to who waits, in the transaction that frees them.

The lock order is attendee, class, lots. Who may come is locked before the class where that can be known (`queue_up`). Whoever came to
the queue since, or waits for a class that another act frees, is locked only if he is at rest (`_BUSY`): here nobody waits for an
attendee while he holds a class. Who is not at rest keeps his place and the seat, and is served by a job a moment later.

Nobody overtakes: who came first is served first, and whoever wants more seats than are free is waited for. Who cannot pay when it is
his turn, or wants more seats than the class has by now, is passed over, and told. The class is locked by whoever calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import policies, rules
from bursar.apps.booking.bookings import admitting, deadlines, paying, rows, seats, telling
from bursar.apps.booking.bookings.models import Booking, ClassSeats, Entry
from bursar.apps.booking.policies import Terms
from bursar.apps.booking.schedule.telling import SERVE_WAITLISTS
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction
from bursar.money.fulfilment import spending

POLICY: Final = "policy:waitlist"
_SOON: Final = timedelta(seconds=1)
_SPARE: Final = 10
"""How many more of the queue are looked at than there are free seats: some cannot pay."""
_OFFER_RAN_OUT: Final = "The offer was not taken up in time."

_NEXT = f"""
select {rows.ENTRY_COLUMNS},
  exists (select from booking b where b.tenant_id = w.tenant_id and b.class_id = w.class_id and b.customer_id = w.customer_id
    and b.kind = 'class' and b.status in ('requested', 'held', 'booked', 'attended', 'no_show')) as is_seated,
  exists (select from customer c where c.tenant_id = w.tenant_id and c.id = w.customer_id
    and (c.erased_at is not null or c.deleted_at is not null)) as is_gone
from waitlist_entry w
where tenant_id = $1 and class_id = $2 and status = 'waiting' order by seq limit $3
"""

_WAITING = "select customer_id from waitlist_entry where tenant_id = $1 and class_id = $2 and status = 'waiting' order by seq limit $3"

# Entries are of customers whose row is there: whoever joined was locked by it.
_QUEUE_UP = f"""
select 1 from attendee where tenant_id = $1 and (customer_id = any($3::uuid[]) or customer_id in (
  select w.customer_id from unnest($2::uuid[]) as c (id) cross join lateral (
    select o.customer_id from waitlist_entry o where o.tenant_id = $1 and o.class_id = c.id and o.status = 'waiting'
    order by o.seq limit {_SPARE}) as w))
order by customer_id for no key update
"""

# Locks all it can, and waits for nobody.
_BUSY = """
with queued as (
  select customer_id from attendee where tenant_id = $1 and customer_id = any($2::uuid[]) order by customer_id
  for no key update skip locked
)
select customer_id from attendee
where tenant_id = $1 and customer_id = any($2::uuid[]) and customer_id not in (select customer_id from queued)
"""

_END = f"""
update waitlist_entry set status = $3, ended_at = $4, told = $5, booking_id = coalesce($6, booking_id), offered_until = null
where tenant_id = $1 and id = $2 and status in ('waiting', 'offered')
returning {rows.ENTRY_COLUMNS}
"""

_OFFER = f"""
update waitlist_entry set status = 'offered', offered_until = $3, booking_id = $4
where tenant_id = $1 and id = $2 and status = 'waiting'
returning {rows.ENTRY_COLUMNS}
"""

_END_OFFERS = f"""
update waitlist_entry set status = 'skipped', ended_at = $3, told = $4, offered_until = null
where tenant_id = $1 and booking_id = any($2::uuid[]) and status = 'offered'
returning {rows.ENTRY_COLUMNS}
"""

_GIVE_UP = """
update waitlist_entry set status = 'left', ended_at = $3, offered_until = null
where tenant_id = $1 and booking_id = any($2::uuid[]) and status = 'offered'
"""

_SETTLE = """
update waitlist_entry set status = 'closed', ended_at = $4, booking_id = $5
where tenant_id = $1 and class_id = $2 and customer_id = $3 and status = 'waiting'
returning id
"""

_CLOSE = f"""
update waitlist_entry set status = 'closed', ended_at = $3, told = $4, offered_until = null
where tenant_id = $1 and class_id = $2 and status in ('waiting', 'offered')
returning {rows.ENTRY_COLUMNS}
"""

_LESS = "update class_instance set waiting = waiting - $3 where tenant_id = $1 and id = $2"


async def queue_up(
    tx: Transaction, *, tenant_id: UUID, class_ids: Sequence[UUID], customer_ids: Sequence[UUID] = ()
) -> None:
    """Lock, before the classes, those who may come from their waitlists, and customers beside them, in one order."""
    await tx.fetch(_QUEUE_UP, tenant_id, list(class_ids), list(customer_ids))


async def prepare(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, leaving: Sequence[Booking], freed: int
) -> None:
    """Lock at once the lots of who leaves and of who may come, in one order. The class is locked."""
    spends = [each.spend_id for each in leaving if each.spend_id]
    coming: list[UUID] = []
    if a_class.waiting:
        limit = freed + a_class.free + _SPARE
        coming = [row["customer_id"] for row in await tx.fetch(_WAITING, tenant_id, a_class.id, limit)]
    if coming:
        pools = list(a_class.pools)
        await spending.lock_lots(tx, tenant_id=tenant_id, spend_ids=spends, customer_ids=coming, pools=pools)


async def promote(tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, now: datetime) -> int:
    """Give free seats to who waits, in their order; return how many entries were served. The class is locked, and as it stands."""
    if not a_class.waiting or not a_class.free or a_class.status != "scheduled" or not a_class.is_published:
        return 0
    terms = await policies.terms_for(tx, tenant_id=tenant_id, policy_id=a_class.policy_id)
    if now >= policies.waitlist_until(terms, a_class.starts_at) or now >= a_class.starts_at:
        return 0
    turn = _Turn(a_class, terms, a_class.free)
    while not await _serve(tx, tenant_id=tenant_id, turn=turn, now=now):
        pass
    if turn.left:
        await tx.execute(_LESS, tenant_id, a_class.id, turn.left)
    if turn.is_put_off:
        await _serve_later(tx, tenant_id=tenant_id, class_id=a_class.id, now=now)
    await telling.tell(tx, tenant_id=tenant_id, actor=POLICY, facts=turn.facts, now=now)
    return turn.served


def is_offer(booking: Booking, *, now: datetime) -> bool:
    """Say whether a seat is held because it was offered from the waitlist, and can still be taken up."""
    is_held = booking.status == "held" and booking.source == "waitlist" and booking.order_id is None
    return is_held and booking.held_until is not None and booking.held_until > now


async def settle(tx: Transaction, *, tenant_id: UUID, booking: Booking, now: datetime) -> None:
    """End the waiting of who was booked otherwise. The class is locked."""
    settled = await tx.fetch(_SETTLE, tenant_id, booking.class_id, booking.customer_id, now, booking.id)
    if settled:
        await tx.execute(_LESS, tenant_id, booking.class_id, len(settled))


async def pass_over_offers(tx: Transaction, *, tenant_id: UUID, bookings: Sequence[Booking], now: datetime) -> None:
    """Tell those whose offers ran out. The class is locked."""
    offered = [each.id for each in bookings if each.source == "waitlist"]
    if not offered:
        return
    over = [Entry(**dict(row)) for row in await tx.fetch(_END_OFFERS, tenant_id, offered, now, _OFFER_RAN_OUT)]
    facts = [telling.of_entry(telling.PASSED_OVER, each, letter=telling.PASSED_OVER) for each in over]
    await telling.tell(tx, tenant_id=tenant_id, actor=POLICY, facts=facts, now=now)


async def give_up_offers(tx: Transaction, *, tenant_id: UUID, bookings: Sequence[Booking], now: datetime) -> None:
    """End the waiting of those who cancelled what was offered to them. The class is locked."""
    offered = [each.id for each in bookings if each.source == "waitlist" and each.status == "held"]
    if offered:
        await tx.execute(_GIVE_UP, tenant_id, offered, now)


async def close(tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, told: str, now: datetime) -> list[Entry]:
    """End all waiting for a class; return whose waiting ended. The class is locked."""
    over = [Entry(**dict(row)) for row in await tx.fetch(_CLOSE, tenant_id, a_class.id, now, told)]
    if a_class.waiting:
        await tx.execute(_LESS, tenant_id, a_class.id, a_class.waiting)
    return over


@dataclass(slots=True)
class _Turn:
    """Who waits has his turn. free: seats that are left. left: how many do not wait any more.

    is_put_off: the next in the queue is busy, so that the rest is served by a job.
    """

    a_class: ClassSeats
    terms: Terms
    free: int
    is_put_off: bool = False
    served: int = 0
    left: int = 0
    facts: list[telling.Fact] = field(default_factory=list)


async def _serve(tx: Transaction, *, tenant_id: UUID, turn: _Turn, now: datetime) -> bool:
    """Serve those next in the queue; say whether nobody else can be."""
    limit = turn.free + _SPARE
    found = await tx.fetch(_NEXT, tenant_id, turn.a_class.id, limit)
    busy = {row["customer_id"] for row in await tx.fetch(_BUSY, tenant_id, [row["customer_id"] for row in found])}
    if turn.a_class.credit_cost:
        # So that what they can pay with is still there when it is their turn, a line further on.
        coming, pools = [row["customer_id"] for row in found], turn.a_class.pools
        await spending.lock_lots(tx, tenant_id=tenant_id, spend_ids=[], customer_ids=coming, pools=pools)
    for row in found:
        told = dict(row)
        is_over = [told.pop(name) for name in ("is_seated", "is_gone")]
        entry = Entry(**told)
        is_beyond = entry.seats > turn.a_class.capacity
        if entry.seats > turn.free and not is_beyond:
            return True
        if entry.customer_id in busy:
            turn.is_put_off = True
            return True
        turn.left += 1
        if any(is_over):
            turn.facts.append(await _pass(tx, tenant_id, entry, status="closed", told=None, now=now))
        elif is_beyond:
            told_why = f"The class has {turn.a_class.capacity} seats by now, and you waited for {entry.seats}."
            turn.facts.append(await _pass(tx, tenant_id, entry, status="skipped", told=told_why, now=now))
        else:
            await _serve_one(tx, tenant_id=tenant_id, turn=turn, entry=entry, now=now)
        if turn.free <= 0:
            return True
    return len(found) < limit


async def _serve_later(tx: Transaction, *, tenant_id: UUID, class_id: UUID, now: datetime) -> None:
    """Have the waitlist served when whoever is next is done with what he does. Each time by another job: one may be at work now."""
    key = f"{ids.show(ids.CLASS, class_id)}.{ids.new()}"
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=SERVE_WAITLISTS, key=key, run_at=now + _SOON)


async def _serve_one(tx: Transaction, *, tenant_id: UUID, turn: _Turn, entry: Entry, now: datetime) -> None:
    """Give a seat to who waits, or offer it, or pass him over."""
    who: dict[str, Any] = {"tenant_id": tenant_id, "a_class": turn.a_class}
    situation, why_not = await admitting.of_waiting(
        tx, **who, customer_id=entry.customer_id, seats=entry.seats, now=now
    )
    if why_not:
        turn.facts.append(await _pass(tx, tenant_id, entry, status="skipped", told=why_not, now=now))
        return
    who |= {"terms": turn.terms, "entry": entry, "now": now}
    if turn.terms.waitlist_mode == "offer" or paying.way_to_pay(situation) == "money":
        turn.facts += await _offer(tx, **who)
    else:
        turn.facts += await _seat(tx, **who, situation=situation)
    turn.free -= entry.seats
    turn.served += 1


async def _pass(
    tx: Transaction, tenant_id: UUID, entry: Entry, *, status: str, told: str | None, now: datetime
) -> telling.Fact:
    row = await tx.fetchrow(_END, tenant_id, entry.id, status, now, told, None)
    letter = telling.PASSED_OVER if told else None
    return telling.of_entry(telling.PASSED_OVER, Entry(**dict(row)), letter=letter)


async def _seat(
    tx: Transaction,
    *,
    tenant_id: UUID,
    a_class: ClassSeats,
    terms: Terms,
    entry: Entry,
    situation: rules.Situation,
    now: datetime,
) -> list[telling.Fact]:
    """Give a seat to who waits, for what it costs."""
    booking_id, count = ids.new(), entry.seats
    paid = await paying.pay(
        tx,
        tenant_id=tenant_id,
        customer_id=entry.customer_id,
        booking_id=booking_id,
        a_class=a_class,
        seats=count,
        actor=POLICY,
        now=now,
        situation=situation,
    )
    is_asked = terms.needs_approval
    taken = await seats.take(tx, tenant_id=tenant_id, class_id=a_class.id, seats=count, is_held=is_asked, is_ahead=True)
    assert taken is not None, "the class is locked and had the seats"
    made = await rows.write(
        tx,
        tenant_id=tenant_id,
        booking_id=booking_id,
        a_class=a_class,
        customer_id=entry.customer_id,
        status="requested" if is_asked else "booked",
        seats=count,
        source="waitlist",
        paid_with=paid.paid_with,
        terms=terms,
        cancel_by=policies.cancel_by(terms, a_class.starts_at),
        booked_by=entry.joined_by,
        credit_cost=paid.amount,
        spend_id=paid.spend_id,
    )
    row = await tx.fetchrow(_END, tenant_id, entry.id, "promoted", now, None, made.id)
    await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
    topic, letter = (telling.REQUESTED, telling.REQUESTED) if is_asked else (telling.BOOKED, telling.PROMOTED)
    return [
        telling.of_entry("waitlist.promoted", Entry(**dict(row)), booking=ids.show(ids.BOOKING, made.id)),
        telling.of_booking(topic, made, letter=letter),
    ]


async def _offer(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, terms: Terms, entry: Entry, now: datetime
) -> list[telling.Fact]:
    """Hold a seat for who waits, for as long as the terms say; it is paid when it is taken up."""
    until = min(now + timedelta(minutes=terms.offer_minutes), a_class.starts_at)
    taken = await seats.take(
        tx, tenant_id=tenant_id, class_id=a_class.id, seats=entry.seats, is_held=True, is_ahead=True
    )
    assert taken is not None, "the class is locked and had the seats"
    made = await rows.write(
        tx,
        tenant_id=tenant_id,
        booking_id=ids.new(),
        a_class=a_class,
        customer_id=entry.customer_id,
        status="held",
        seats=entry.seats,
        source="waitlist",
        paid_with="nothing",
        terms=terms,
        cancel_by=policies.cancel_by(terms, a_class.starts_at),
        booked_by=entry.joined_by,
        held_until=until,
    )
    row = await tx.fetchrow(_OFFER, tenant_id, entry.id, until, made.id)
    await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
    return [
        telling.of_entry("waitlist.offered", Entry(**dict(row)), booking=ids.show(ids.BOOKING, made.id)),
        telling.of_booking("booking.held", made, letter=telling.OFFERED),
    ]
