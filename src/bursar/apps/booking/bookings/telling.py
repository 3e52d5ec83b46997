"""What is told of bookings, in the transaction that changes them: the audit trail, the outbox, and letters to customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.bookings.models import Booking, Entry
from bursar.kernel import audit, ids, outbox
from bursar.kernel.db import Transaction
from bursar.kernel.identity import letters

BOOKED: Final = "booking.booked"
REQUESTED: Final = "booking.requested"
PROMOTED: Final = "booking.promoted"
OFFERED: Final = "booking.offered"
CANCELLED: Final = "booking.cancelled"
CALLED_OFF: Final = "booking.called_off"
MOVED: Final = "booking.moved"
TO_PAY: Final = "booking.to_pay"
"""What was requested is confirmed, and held until it is paid. Kinds of letters are permanent: one that waits is stored under its kind."""
PASSED_OVER: Final = "waitlist.passed_over"
WAITING_ENDED: Final = "waitlist.closed"
RETURNING: Final = "booking.payment_returning"
"""Money that was paid for a booking goes back, because it could not be seated."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened. topic: permanent. state: plain values. letter: the kind of letter that tells the customer of it.

    about: what the letter is about, where it is not the subject.
    """

    topic: str
    subject: str
    state: dict[str, Any]
    letter: str | None = None
    about: str | None = None


async def tell(
    tx: Transaction,
    *,
    tenant_id: UUID,
    actor: str,
    facts: Sequence[Fact],
    now: datetime,
    reason: str | None = None,
) -> None:
    """Write down what happened, once for each listener. reason: somebody's words about the first of the facts."""
    if not facts:
        return
    first, rest = (facts[:1], facts[1:]) if reason else ((), facts)
    for fact in first:
        changes = fact.state | {"reason": reason}
        await audit.record(
            tx, tenant_id=tenant_id, actor=actor, action=fact.topic, subject=fact.subject, changes=changes
        )
    await audit.record_all(
        tx, tenant_id=tenant_id, actor=actor, records=[(fact.topic, fact.subject, fact.state) for fact in rest]
    )
    told = [outbox.Told(fact.topic, fact.subject, fact.state) for fact in facts]
    await outbox.emit(tx, tenant_id=tenant_id, told=told)
    for kind in sorted({fact.letter for fact in facts if fact.letter}):
        abouts = [fact.about or fact.subject for fact in facts if fact.letter == kind]
        await letters.write_all_about(tx, tenant_id=tenant_id, kind=kind, abouts=abouts, now=now)


def of_booking(topic: str, booking: Booking, *, letter: str | None = None, **more: Any) -> Fact:
    """Return a fact about a booking."""
    subject = ids.show(ids.BOOKING, booking.id)
    state = {
        "number": booking.number,
        "customer": ids.show(ids.CUSTOMER, booking.customer_id),
        "status": booking.status,
        "seats": booking.seats,
        "starts_at": booking.starts_at,
        "paid_with": booking.paid_with,
    }
    if booking.class_id:
        state["class"] = ids.show(ids.CLASS, booking.class_id)
    return Fact(topic, subject, state | more, letter)


def of_entry(topic: str, entry: Entry, *, letter: str | None = None, **more: Any) -> Fact:
    """Return a fact about a place on a waitlist."""
    state = {
        "class": ids.show(ids.CLASS, entry.class_id),
        "customer": ids.show(ids.CUSTOMER, entry.customer_id),
        "status": entry.status,
        "seats": entry.seats,
    }
    return Fact(topic, ids.show(ids.WAITLIST_ENTRY, entry.id), state | more, letter)
