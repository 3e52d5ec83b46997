"""The business changes a class, or cancels it: whoever is booked follows or gets everything back, and is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import fees, schedule
from bursar.apps.booking.bookings import deadlines, holding, paying, queueing, refunds, rows, seats, telling
from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.refusals import ClassAttended, ClassOver
from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction

_AT_ONCE: Final = 200

_LIVE = f"""
select {rows.COLUMNS} from booking
where tenant_id = $1 and class_id = $2 and status in ('requested', 'held', 'booked', 'attended', 'no_show')
order by id for no key update
"""

_CANCEL_ALL = f"""
update booking set status = 'cancelled', cancelled_at = $3, cancelled_by = $4, cancel_reason = $5, version = version + 1,
  credits_back = coalesce(credits_back, case when spend_id is null then 'none' end)
where tenant_id = $1 and class_id = $2 and status in ('requested', 'held', 'booked', 'attended', 'no_show')
returning {rows.COLUMNS}
"""

_CALL_OFF = """
update class_instance set status = 'cancelled', cancelled_at = $3, cancel_reason = $4, held = 0, booked = 0, overbook = 0, is_edited = true,
  version = version + 1
where tenant_id = $1 and id = $2 and status = 'scheduled'
"""

_UNSERVED = f"""
select id from class_instance
where tenant_id = $1 and status = 'scheduled' and is_published and starts_at > $2 and starts_at < $2::timestamptz + interval '1 year'
  and waiting > 0 and held + booked < capacity
order by starts_at limit {_AT_ONCE}
"""


@dataclass(frozen=True, slots=True)
class CalledOff:
    """A class that was cancelled. bookings: how many were cancelled with it now; 0 where it was cancelled before."""

    class_id: UUID
    bookings: int
    credits: int
    waiting: int


async def cancel_class(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    reason: str | None,
    actor: str,
    now: datetime,
    cancels_attended: bool = False,
) -> CalledOff:
    """Cancel a class with all its bookings: everybody gets everything back, however late it is, and is told.

    What was cancelled before stays as it is. A repeat changes nothing. cancels_attended: though it has begun and somebody is checked
    in, which says that it takes place. Raises ClassNotFound, ClassOver, ClassAttended.
    """
    a_class = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    if a_class.status != "scheduled":
        return CalledOff(class_id, 0, 0, 0)
    if a_class.ends_at <= now:
        raise ClassOver(f"{a_class.title} has taken place", hint="Cancel single bookings instead.")
    before = {each.id: each for each in rows.read_all(await tx.fetch(_LIVE, tenant_id, class_id))}
    if a_class.starts_at <= now and not cancels_attended:
        _check_unattended(a_class.title, list(before.values()))
    entries = await queueing.close(tx, tenant_id=tenant_id, a_class=a_class, told="The class was cancelled.", now=now)
    await tx.execute(_CALL_OFF, tenant_id, class_id, now, reason)
    gone = rows.read_all(await tx.fetch(_CANCEL_ALL, tenant_id, class_id, now, actor, reason))
    how = await holding.return_credits(tx, tenant_id=tenant_id, bookings=gone, actor=actor, now=now)
    await paying.let_coupons_go(tx, tenant_id=tenant_id, bookings=gone, now=now)
    paid = [each for each in gone if not before[each.id].is_pending]
    await refunds.promise_all(tx, tenant_id=tenant_id, bookings=paid, percent=100)
    missing = [each.id for each in before.values() if each.status == "no_show"]
    if missing:
        await fees.withdraw(tx, tenant_id=tenant_id, booking_ids=missing, actor=actor, now=now)
    credits_back = sum(each.credit_cost for each in gone if each.id in how)
    state = {"title": a_class.title, "bookings": len(gone), "credits": credits_back, "waiting": len(entries)}
    facts = [telling.Fact("class.cancelled", ids.show(ids.CLASS, class_id), state)]
    facts += [
        telling.of_booking(
            "booking.cancelled", each, letter=telling.CALLED_OFF, credits_back=how.get(each.id, each.credits_back)
        )
        for each in gone
    ]
    facts += [telling.of_entry("waitlist.closed", each, letter=telling.WAITING_ENDED) for each in entries]
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=facts, now=now, reason=reason)
    return CalledOff(class_id, len(gone), credits_back, len(entries))


async def change_class(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
    allows_overbooked: bool = False,
) -> schedule.Edited:
    """Change a class though it is booked: its bookings follow, everybody is told, and seats that it has more go to who waits.

    Raises what `schedule.edit_class` raises, but for ClassesHaveBookings.
    """
    await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=[class_id])
    before = await seats.class_of(tx, tenant_id=tenant_id, class_id=class_id)
    edited = await schedule.edit_class(
        tx,
        tenant_id=tenant_id,
        class_id=class_id,
        changes=changes,
        actor=actor,
        now=now,
        allows_overbooked=allows_overbooked,
        moves_bookings=True,
    )
    after = await seats.locked(tx, tenant_id=tenant_id, class_id=class_id)
    place = ("starts_at", "ends_at", "venue_id", "staff_id")
    if any(getattr(before, name) != getattr(after, name) for name in place):
        is_moved = any(getattr(before, name) != getattr(after, name) for name in place[:3])
        moved = await rows.follow(tx, tenant_id=tenant_id, a_class=after)
        await _tell_moved(tx, tenant_id=tenant_id, moved=moved, is_told=is_moved, actor=actor, now=now)
    await queueing.promote(tx, tenant_id=tenant_id, a_class=after, now=now)
    return replace(edited, instance=await schedule.class_of(tx, tenant_id=tenant_id, class_id=class_id))


async def serve_waitlists(work: jobs.Work) -> None:
    """Give seats that came free otherwise than by a booking to who waits: a capacity was raised, a class published."""
    tenant_id, now = work.job.tenant_id, work.resources.now()
    async with work.finish() as tx:
        found = [row["id"] for row in await tx.fetch(_UNSERVED, tenant_id, now)]
        if not found:
            return
        await queueing.queue_up(tx, tenant_id=tenant_id, class_ids=found)
        classes = await seats.locked_all(tx, tenant_id=tenant_id, class_ids=found)
        for class_id in sorted(classes):
            await queueing.promote(tx, tenant_id=tenant_id, a_class=classes[class_id], now=now)


def _check_unattended(title: str, bookings: Sequence[Booking]) -> None:
    came = sum(each.status == "attended" for each in bookings)
    if came:
        raise ClassAttended(
            f"{title} has begun, and {came} of its bookings {'is' if came == 1 else 'are'} checked in",
            hint="Cancel single bookings instead. If it does not take place after all, pass cancels_attended: everybody gets everything back.",
            context={"attended": came},
        )


async def _tell_moved(
    tx: Transaction, *, tenant_id: UUID, moved: Sequence[Booking], is_told: bool, actor: str, now: datetime
) -> None:
    letter = telling.MOVED if is_told else None
    facts = [telling.of_booking("booking.moved", each, letter=letter) for each in moved]
    # One letter for each change: the booking's version names it.
    facts = [replace(f, about=f"{f.subject}.{each.version}") for f, each in zip(facts, moved, strict=True)]
    await telling.tell(tx, tenant_id=tenant_id, actor=actor, facts=facts, now=now)
    for each in moved:
        if each.status == "requested":
            await deadlines.watch(tx, tenant_id=tenant_id, booking=each)
