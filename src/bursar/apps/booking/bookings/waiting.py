"""Waiting for a seat in a class that is full: who joins, who leaves, who takes up what was offered.

Waiting has a sense until the time that the terms say, while the class is published and has not begun. Who was given a seat and
gave it up is not given another.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import passes, policies, rules
from bursar.apps.booking.bookings import admitting, deadlines, holding, paying, queueing, rows, seats, telling
from bursar.apps.booking.bookings.models import MONEYED, UNPRICED, Booking, ClassSeats, Entry, Pays
from bursar.apps.booking.bookings.paying import Landing
from bursar.apps.booking.bookings.refusals import (
    AlreadyPromoted,
    AlreadyWaiting,
    ClassCancelled,
    ClassFull,
    ClassNotPublished,
    EntryNotFound,
    NotWaiting,
    SeatsFree,
    WaitingElsewhere,
    WaitlistClosed,
    WaitlistFull,
    WishTooLarge,
)
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction

CLOSE_WAITLIST: Final = "bookings.close_waitlist"

_QUEUE = """
update class_instance set waiting = waiting + 1, waited = waited + 1
where tenant_id = $1 and id = $2 and status = 'scheduled' and is_published and starts_at > $3
  and (held + booked + $4 > capacity or waiting > 0)
returning waited
"""

_JOIN = f"""
insert into waitlist_entry (tenant_id, id, class_id, customer_id, seq, seats, status, joined_by)
values ($1, $2, $3, $4, $5, $6, 'waiting', $7)
on conflict (tenant_id, class_id, customer_id) where status in ('waiting', 'offered') do nothing
returning {rows.ENTRY_COLUMNS}
"""

_FORMER = """
select status from waitlist_entry
where tenant_id = $1 and class_id = $2 and customer_id = $3 and status in ('waiting', 'offered', 'promoted') order by seq desc limit 1
"""

_ENTRY = f"select {rows.ENTRY_COLUMNS} from waitlist_entry where tenant_id = $1 and id = $2"

_ELSEWHERE = """
select c.title from waitlist_entry w join class_instance c on c.tenant_id = w.tenant_id and c.id = w.class_id
where w.tenant_id = $1 and w.customer_id = $2 and w.status in ('waiting', 'offered') and w.class_id <> $3
  and c.starts_at < $5 and c.ends_at > $4 limit 1
"""

_LEAVE = f"""
update waitlist_entry set status = 'left', ended_at = $3, offered_until = null
where tenant_id = $1 and id = $2 and status in ('waiting', 'offered')
returning {rows.ENTRY_COLUMNS}
"""

_TAKEN_UP = f"""
update waitlist_entry set status = 'promoted', ended_at = $3, offered_until = null
where tenant_id = $1 and booking_id = $2 and status = 'offered'
returning {rows.ENTRY_COLUMNS}
"""

_LESS = "update class_instance set waiting = waiting - $3 where tenant_id = $1 and id = $2"

_TAKE_UP = f"""
update booking set status = $3, paid_with = $4, credit_cost = $5, spend_id = $6, order_id = $7, held_until = $8,
  ({rows.PRICED}) = ($9, $10, $11, $12, $13, $14, $15, $16, $17, $18),
  version = version + 1
where tenant_id = $1 and id = $2 and status = 'held' and order_id is null
returning {rows.COLUMNS}
"""

_DROP = """
update booking set held_until = $3 where tenant_id = $1 and id = $2 and status = 'held' and order_id is null returning class_id
"""


async def join(
    tx: Transaction, *, tenant_id: UUID, class_id: UUID, customer_id: UUID, count: int = 1, actor: str, now: datetime
) -> Entry:
    """Let a customer wait for seats of a class that is full.

    Raises SeatsFree, AlreadyBooked, AlreadyWaiting, AlreadyPromoted, WaitlistClosed, WishTooLarge, ClassCancelled, ClassNotPublished, ClassNotFound,
    CustomerNotFound.
    """
    # Before any lock: where that job is at work now this waits for it, and it wants attendees and the class.
    seen = await seats.class_of(tx, tenant_id=tenant_id, class_id=class_id)
    key = ids.show(ids.CLASS, class_id)
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=CLOSE_WAITLIST, key=key, run_at=seen.starts_at)
    await passes.queue_up(tx, tenant_id=tenant_id, customer_id=customer_id)
    await holding.free_expired(tx, tenant_id=tenant_id, class_id=class_id, now=now)
    a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    await _check_may_wait(tx, tenant_id=tenant_id, a_class=a_class, customer_id=customer_id, now=now)
    await _check_limits(tx, tenant_id=tenant_id, a_class=a_class, customer_id=customer_id, count=count)
    seq = await tx.fetchval(_QUEUE, tenant_id, class_id, now, count)
    if seq is None:
        raise SeatsFree(
            f"{a_class.title} has {a_class.free} free seats",
            hint="Book it: POST /v1/bookings.",
            context={"free": a_class.free},
        )
    row = await tx.fetchrow(_JOIN, tenant_id, ids.new(), class_id, customer_id, seq, count, actor)
    if row is None:
        raise _waits_already(a_class)
    entry = Entry(**dict(row))
    await telling.tell(
        tx, tenant_id=tenant_id, actor=actor, facts=[telling.of_entry("waitlist.joined", entry)], now=now
    )
    return entry


async def leave(tx: Transaction, *, tenant_id: UUID, entry_id: UUID, actor: str, now: datetime) -> Entry:
    """Let a customer wait no more; a seat that was offered goes to the next. Raises EntryNotFound, NotWaiting."""
    seen = await entry_of(tx, tenant_id=tenant_id, entry_id=entry_id)
    _check_waits(seen)
    class_id = seen.class_id
    await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=[class_id])
    await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    before = await entry_of(tx, tenant_id=tenant_id, entry_id=entry_id)
    _check_waits(before)
    row = await tx.fetchrow(_LEAVE, tenant_id, entry_id, now)
    entry = Entry(**dict(row))
    if before.status == "waiting":
        await tx.execute(_LESS, tenant_id, class_id, 1)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[telling.of_entry("waitlist.left", entry)], now=now)
    if before.status == "offered" and before.booking_id:
        await _drop_offer(tx, tenant_id=tenant_id, booking_id=before.booking_id, now=now)
    elif before.status == "waiting":
        # Whoever stood before others with a greater wish than there were seats lets them have theirs.
        await queueing.promote(
            tx, tenant_id=tenant_id, a_class=await seats.locked(tx, tenant_id=tenant_id, class_id=class_id), now=now
        )
    return entry


async def entry_of(tx: Transaction, *, tenant_id: UUID, entry_id: UUID) -> Entry:
    """Return one entry. Raises EntryNotFound."""
    row = await tx.fetchrow(_ENTRY, tenant_id, entry_id)
    if row is None:
        raise EntryNotFound(
            f"there is no entry {ids.show(ids.WAITLIST_ENTRY, entry_id)}", hint="See GET /v1/waitlist-entries."
        )
    return Entry(**dict(row))


async def accept(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    booking_id: UUID,
    count: int,
    pays: Pays,
    landing: Landing,
    actor: str,
    now: datetime,
    coupon: str | None = None,
) -> Booking:
    """Take up what is offered, of which the customer is queued up: with credits it is booked, with money it is held until the money comes.

    count: how many seats are asked for; all that are offered are taken up. Raises ClassFull where they are fewer, WaitlistClosed, NotBookable.
    """
    a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    offered = await rows.booking(tx, tenant_id=tenant_id, booking_id=booking_id)
    if not queueing.is_offer(offered, now=now):
        raise WaitlistClosed("the offer has ended", hint="Join the waitlist again, or book when a seat is free.")
    if count > offered.seats:
        raise ClassFull(
            f"{count} seats of {a_class.title} are asked for, and {offered.seats} offered",
            hint="Take up what is offered, or leave the waitlist.",
            context={"offered": offered.seats},
        )
    who: dict[str, Any] = {"tenant_id": tenant_id, "customer_id": offered.customer_id}
    situation = await admitting.admitted(
        tx,
        **who,
        class_id=class_id,
        seats=offered.seats,
        source="waitlist",
        pays=pays,
        coupon=coupon,
        leaving=booking_id,
        now=now,
    )
    paid_with = paying.way_to_pay(situation)
    order_id = held_until = None
    price: paying.Sum | None = None
    paid = passes.Paid("nothing")
    if paid_with in ("credits", "membership"):
        place: dict[str, Any] = {"booking_id": booking_id, "a_class": a_class, "seats": offered.seats}
        paid = await paying.pay(tx, **who, **place, actor=actor, now=now, leaving=booking_id, situation=situation)
        paid_with = paid.paid_with
    part = situation.credits_of_both
    if part:
        place = {"booking_id": booking_id, "a_class": a_class, "seats": offered.seats, "part": part}
        paid = await paying.pay(tx, **who, **place, actor=actor, now=now)
    if paid_with in MONEYED:
        price = await paying.price_of(
            tx, tenant_id=tenant_id, class_id=class_id, seats=offered.seats, coupon=situation.coupon, part=part
        )
    if price and price.due_minor:
        held_until = now + timedelta(minutes=offered.terms.hold_minutes)
        order_id = await paying.ask_for_money(
            tx,
            **who,
            price_id=a_class.price_id,
            quantity=offered.seats,
            landing=landing,
            actor=actor,
            asks_minor=price.asks_minor,
        )
    else:
        await seats.confirm(tx, tenant_id=tenant_id, class_id=class_id, seats=offered.seats, is_beyond=True)
    row = await tx.fetchrow(
        _TAKE_UP,
        *(tenant_id, booking_id, "held" if order_id else "booked", paid_with),
        *(paid.amount, paid.spend_id, order_id, held_until),
        *(price.priced if price else UNPRICED),
    )
    made = rows.read(row)
    await paying.redeem(tx, tenant_id=tenant_id, booking=made, now=now)
    await tx.fetch(_TAKEN_UP, tenant_id, booking_id, now)
    await deadlines.watch(tx, tenant_id=tenant_id, booking=made)
    topic = "booking.held" if order_id else telling.BOOKED
    fact = telling.of_booking(topic, made, letter=None if order_id else topic)
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=[fact], now=now)
    return made


async def close_waitlist(work: jobs.Work) -> None:
    """End the waiting for a class that has begun."""
    tenant_id, class_id = work.job.tenant_id, ids.parse(ids.CLASS, work.job.key)
    now = work.resources.now()
    async with work.finish() as tx:
        a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
        if a_class.starts_at > now:
            raise jobs.Postponed("the class has not begun", after=max(a_class.starts_at - now, timedelta(seconds=1)))
        await holding.free_expired(tx, tenant_id=tenant_id, class_id=class_id, now=now)
        a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
        over = await queueing.close(tx, tenant_id=tenant_id, a_class=a_class, told="The class has begun.", now=now)
        facts = [telling.of_entry("waitlist.closed", each) for each in over]
        await telling.tell(tx, tenant_id=tenant_id, actor=queueing.POLICY, facts=facts, now=now)


async def _check_may_wait(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, customer_id: UUID, now: datetime
) -> None:
    if a_class.status != "scheduled":
        raise ClassCancelled(f"{a_class.title} is cancelled", hint="Book another class.")
    if not a_class.is_published:
        raise ClassNotPublished(f"{a_class.title} cannot be booked yet", hint="Publish it first.")
    terms = await policies.terms_for(tx, tenant_id=tenant_id, policy_id=a_class.policy_id)
    if now >= min(policies.waitlist_until(terms, a_class.starts_at), a_class.starts_at):
        raise WaitlistClosed(
            f"nobody is given a seat in {a_class.title} from the waitlist any more",
            hint="Look whether a seat is free, or book another class.",
        )
    if await rows.live_booking(tx, tenant_id=tenant_id, class_id=a_class.id, customer_id=customer_id):
        raise rows.already_booked(a_class)
    former = await tx.fetchval(_FORMER, tenant_id, a_class.id, customer_id)
    if former == "promoted":
        raise AlreadyPromoted(
            "the customer was given a seat from this waitlist, and gave it up", hint="Book when a seat is free."
        )
    if former:
        raise _waits_already(a_class)


async def _check_limits(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, customer_id: UUID, count: int
) -> None:
    """Refuse whom the business lets wait no more, and a wish that is never granted: all behind it would wait in vain."""
    chosen = await rules.settings_of(tx, tenant_id=tenant_id)
    # One seat may be waited for also where the business has taken all seats away for now.
    seats_max = max(a_class.capacity, 1)
    if rules.holds(chosen, rules.GUESTS_MAX):
        seats_max = min(seats_max, rules.number_of(chosen, rules.GUESTS_MAX, "seats_max"))
    if count > seats_max:
        raise WishTooLarge(
            f"{count} seats of {a_class.title} are never given to one booking, {seats_max} may be",
            hint=f"Wait for {seats_max} or fewer, or choose another class.",
            context={"seats_max": seats_max},
        )
    most = rules.number_of(chosen, rules.WAITLIST_LENGTH, "entries_max")
    if rules.holds(chosen, rules.WAITLIST_LENGTH) and a_class.waiting >= most:
        raise WaitlistFull(f"{a_class.waiting} wait for {a_class.title}, {most} may", hint="Choose another class.")
    if rules.holds(chosen, rules.WAITS_ONCE):
        place = (a_class.id, a_class.starts_at, a_class.ends_at)
        other = await tx.fetchval(_ELSEWHERE, tenant_id, customer_id, *place)
        if other:
            raise WaitingElsewhere(
                f"the customer waits for {other} at the same time", hint="Leave that waitlist first."
            )


def _check_waits(entry: Entry) -> None:
    if entry.status not in ("waiting", "offered"):
        raise NotWaiting(f"the entry is {entry.status} already", hint="There is nothing to leave.")


def _waits_already(a_class: ClassSeats) -> AlreadyWaiting:
    return AlreadyWaiting(f"the customer waits for {a_class.title} already", hint="There is nothing to do.")


async def _drop_offer(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, now: datetime) -> None:
    """Let the offered seat of who left go to the next: the hold ends now."""
    row = await tx.fetchrow(_DROP, tenant_id, booking_id, now)
    if row:
        await holding.free_expired(tx, tenant_id=tenant_id, class_id=row["class_id"], now=now)
