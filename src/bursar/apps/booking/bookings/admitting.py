"""Who may have a seat: the rules of the business decide, and the times of the class.

Whether a seat is left is not decided here: the guarded statement that takes it does. Holds that ran out are not seats that are taken.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.apps.booking import rules
from bursar.apps.booking.bookings.models import STAFFED, ClassSeats, Pays, Source
from bursar.apps.booking.bookings.refusals import ClassBegun, ClassOver
from bursar.kernel.db import Transaction

_COUNTED: Final = "seats_left"
_BEGUN: Final = "class_not_begun"
"""Staff books until a class is over."""
_OF_BOOKING: Final = frozenset({"booking_opens", "booking_closes", "walk_in_reserve", "online_reserve"})
"""Rules about who asks for a seat, not about who waited for one."""


async def admitted(
    tx: Transaction,
    *,
    tenant_id: UUID,
    class_id: UUID,
    customer_id: UUID,
    seats: int,
    source: Source,
    pays: Pays,
    now: datetime,
    coupon: str | None = None,
    is_waived: bool = False,
    leaving: UUID | None = None,
) -> rules.Situation:
    """Return what decides whether and how a customer may book, if no rule forbids it. Raises NotBookable, ClassNotFound, CustomerNotFound.

    is_waived: staff gave a reason. coupon: a code that lessens the price. leaving: a booking that is given up in the same act.
    """
    situation = await rules.situation(
        tx,
        tenant_id=tenant_id,
        class_id=class_id,
        customer_id=customer_id,
        seats=seats,
        source=source,
        now=now,
        pays=pays,
        coupon=coupon,
        leaving=leaving,
    )
    judge(situation, is_waived=is_waived)
    return situation


def judge(situation: rules.Situation, *, is_waived: bool = False) -> None:
    """Return if no rule forbids the booking. is_waived: staff gave a reason. Raises NotBookable."""
    ignored = {_BEGUN} if situation.source in STAFFED else set()
    found = [failure for failure in rules.failures(situation) if failure.rule not in ignored]
    others = [failure for failure in found if failure.rule != _COUNTED]
    counted = [failure for failure in found if failure.rule == _COUNTED]
    # That no seat is left is told beside others, last; alone it is for the statement to decide.
    if others:
        rules.require((*others, *counted), is_waived=is_waived)


async def of_waiting(
    tx: Transaction, *, tenant_id: UUID, a_class: ClassSeats, customer_id: UUID, seats: int, now: datetime
) -> tuple[rules.Situation, str | None]:
    """Return what decides how who waits may pay, and in words for him why he may not have the seat now; None where he may."""
    situation = await rules.situation(
        tx,
        tenant_id=tenant_id,
        class_id=a_class.id,
        customer_id=customer_id,
        seats=seats,
        source="waitlist",
        now=now,
    )
    left = [each for each in rules.failures(situation) if each.rule != _COUNTED and each.rule not in _OF_BOOKING]
    return situation, " ".join(rules.for_customer(left[0].message, left[0].hint)).strip() if left else None


def check_time(a_class: ClassSeats, *, source: Source, now: datetime) -> None:
    """Refuse a class that is over, and one that has begun unless staff books. Raises ClassBegun, ClassOver."""
    if a_class.ends_at <= now and source != "import":
        raise ClassOver(f"{a_class.title} is over", hint="Book a class to come.")
    if a_class.starts_at <= now and source not in STAFFED:
        raise ClassBegun(f"{a_class.title} has begun", hint="Ask at the desk, or book a class to come.")
