"""Seats that are held for a while: until the money comes, until an offer is taken up, until staff confirms a request.

A hold that ran out is given up by its job, or sooner by whoever wants the seat; both by the same statement, under the class's lock.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import rules
from bursar.apps.booking.bookings import paying, queueing, rows, seats, staffed, telling
from bursar.apps.booking.bookings.models import Booking, ClassSeats
from bursar.apps.booking.bookings.refusals import ClassCancelled, ClassFull
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction
from bursar.money.fulfilment import returning

POLICY: Final = "policy:holds"
_AT_LEAST: Final = timedelta(seconds=1)

_EXPIRE = f"""
update booking set status = 'expired', version = version + 1, cancelled_at = $3, cancelled_by = '{POLICY}'
where tenant_id = $1 and class_id = $2 and kind = 'class'
  and ((status = 'held' and held_until <= $3) or (status = 'requested' and starts_at <= $3))
returning {rows.COLUMNS}
"""

_GIVEN_BACK = """
update booking as b set credits_back = new.how
from unnest($2::uuid[], $3::text[]) as new (id, how)
where b.tenant_id = $1 and b.id = new.id
"""


async def free_expired(tx: Transaction, *, tenant_id: UUID, class_id: UUID, now: datetime) -> int:
    """Give up the holds of a class that ran out, and let whoever waits have the seats; return how many seats that were."""
    a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    if not a_class.held:
        return 0
    over = rows.read_all(await tx.fetch(_EXPIRE, tenant_id, class_id, now))
    if not over:
        return 0
    freed = sum(each.seats for each in over)
    await queueing.prepare(tx, tenant_id=tenant_id, a_class=a_class, leaving=over, freed=freed)
    await return_credits(tx, tenant_id=tenant_id, bookings=over, actor=POLICY, now=now)
    await paying.let_coupons_go(tx, tenant_id=tenant_id, bookings=over, now=now)
    a_class = await seats.release(tx, tenant_id=tenant_id, class_id=class_id, seats=freed, is_held=True)
    await queueing.pass_over_offers(tx, tenant_id=tenant_id, bookings=over, now=now)
    facts = [telling.of_booking("booking.expired", each) for each in over]
    await telling.tell(tx, tenant_id=tenant_id, actor=POLICY, facts=facts, now=now)
    await queueing.promote(tx, tenant_id=tenant_id, a_class=a_class, now=now)
    return freed


async def take_for(
    tx: Transaction, *, tenant_id: UUID, situation: rules.Situation, is_held: bool, is_beyond: bool
) -> tuple[ClassSeats, int]:
    """Take the seats that a situation asks for; return the class with them taken, and how many are beyond its capacity.

    Whoever wants seats takes them here, so that nobody takes what is kept for others or belongs to those who wait.
    is_held: until they are paid or confirmed. is_beyond: staff gave a reason to take what is not free. Raises ClassFull, ClassCancelled.
    """
    place: dict[str, Any] = {"tenant_id": tenant_id, "class_id": situation.a_class.id}
    wanted: dict[str, Any] = {"seats": situation.seats, "is_held": is_held}
    order: dict[str, Any] = {"is_ahead": situation.is_ahead, "kept": 0 if is_beyond else rules.seats_kept(situation)}
    taken = await seats.take(tx, **place, **wanted, **order)
    if taken is None and await free_expired(tx, **place, now=situation.now):
        taken = await seats.take(tx, **place, **wanted, **order)
    if taken:
        return taken, 0
    if is_beyond and (taken := await seats.take_beyond(tx, **place, **wanted)):
        return taken, min(situation.seats, taken.overbook)
    raise _full(await seats.class_of(tx, **place))


async def return_credits(
    tx: Transaction, *, tenant_id: UUID, bookings: Sequence[Booking], actor: str, now: datetime
) -> dict[UUID, str]:
    """Give back what bookings cost that the business could not keep, even where the lots expired; return how, by booking."""
    spends = {each.spend_id: each for each in bookings if each.spend_id}
    if not spends:
        return {}
    until = paying.replaced_until(
        grace_days=max(each.terms.grace_days for each in spends.values()), is_replaced=True, now=now
    )
    returned = await returning.give_back_all(
        tx, tenant_id=tenant_id, spend_ids=list(spends), actor=actor, now=now, replaced_until=until
    )
    how: dict[UUID, str] = {spends[each.spend_id].id: each.how for each in returned}
    await tx.execute(_GIVEN_BACK, tenant_id, list(how), list(how.values()))
    return how


async def expire_hold(work: jobs.Work) -> None:
    """End a hold, unless it was paid, taken up, prolonged or given up meanwhile."""
    tenant_id, booking_id = work.job.tenant_id, ids.parse(ids.BOOKING, work.job.request.decode())
    now = work.resources.now()
    async with work.finish() as tx:
        booking = await rows.known_booking(tx, tenant_id=tenant_id, booking_id=booking_id)
        if booking is None or not booking.is_pending:
            return
        ends_at = booking.held_until if booking.status == "held" else booking.starts_at
        if ends_at and ends_at > now:
            # Clocks differ a little, and a class may have moved.
            raise jobs.Postponed("the hold is not over yet", after=max(ends_at - now, _AT_LEAST))
        if booking.class_id:
            await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=[booking.class_id])
            await free_expired(tx, tenant_id=tenant_id, class_id=booking.class_id, now=now)
        else:
            await staffed.end_hold(tx, tenant_id=tenant_id, booking_id=booking_id, now=now)


def _full(a_class: ClassSeats) -> ClassFull | ClassCancelled:
    if a_class.status != "scheduled":
        return ClassCancelled(f"{a_class.title} is cancelled", hint="Book another class.")
    return ClassFull(
        f"{a_class.title} is full",
        hint="Join its waitlist: POST /v1/waitlist-entries. Staff may overbook it with a reason.",
        context={"capacity": a_class.capacity, "free": a_class.free, "waiting": a_class.waiting},
    )
