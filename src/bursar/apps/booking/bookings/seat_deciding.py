"""What is to become of the money for a seat. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from bursar.apps.booking.bookings.models import Booking
from bursar.apps.booking.bookings.seat_rows import Row
from bursar.money.fulfilment import GrantStatus
from bursar.money.payments.brought import Brought

WAITS_FOR: Final = timedelta(hours=1)
"""How long money waits for the report that says what it is for: the reports of one payment come within minutes of one another."""

BY_PAYMENT: Final = "policy:seat"
"""Who confirms a booking, and who cancelled it when its money went back."""

UNNAMED: Final = "no report names a booking that it is for"
TWICE: Final = "its booking was paid for already"
TOO_LITTLE: Final = "it is not what had to be paid"
BEGUN: Final = "it came when the time of its booking had begun"
GONE: Final = "its booking had been cancelled"
FULL: Final = "it came when its booking had expired, and the seat was gone"
SPENT: Final = "it came when its booking had expired, and its coupon was used up"
SHORT: Final = "it came when its booking had expired, and the credits for the rest of it were gone"
DISPUTED: Final = "it is in dispute"

Does = Literal["nothing", "confirm", "seat_again", "keep", "wait", "return", "free", "release"]


@dataclass(frozen=True, slots=True)
class Act:
    """confirm: a hold. seat_again: what had expired. keep: as it is, sure. free: take the booking back. release: it has no booking.

    due_at: until when `wait` waits; None: until something is reported.
    """

    does: Does
    reason: str | None = None
    due_at: datetime | None = None


def decide(
    status: GrantStatus,
    *,
    row: Row | None,
    booking: Booking | None,
    paid: Brought,
    seated: Collection[object],
    now: datetime,
) -> Act:
    """Say what becomes of a grant. seated: bookings that another grant has paid for."""
    if status in (GrantStatus.revoked, GrantStatus.superseded):
        return Act("free" if row and row.status == "seated" else "release")
    if row and row.status in ("seated", "returning"):
        return Act("keep" if row.status == "seated" else "nothing")
    if status is GrantStatus.suspended:
        return Act("wait", DISPUTED)
    if booking is None or booking.id in seated:
        return _wait(row, UNNAMED if booking is None else TWICE, now)
    return _of_booking(booking, now) if suffices(paid, booking) else _too_little(booking, now)


def suffices(paid: Brought, booking: Booking) -> bool:
    """True when what stayed here is what has to be paid before the booking is sure."""
    return paid.currency == booking.currency and paid.net_minor >= (booking.due_minor or 0)


def _too_little(booking: Booking, now: datetime) -> Act:
    """As long as the hold lasts the rest may come."""
    is_held = booking.status == "held" and booking.held_until is not None and now < booking.held_until
    return Act("wait", TOO_LITTLE, booking.held_until) if is_held else Act("return", TOO_LITTLE)


def _of_booking(booking: Booking, now: datetime) -> Act:
    if booking.status == "held":
        return Act("confirm")
    if booking.status in ("booked", "attended", "no_show"):
        return Act("keep")
    is_open = booking.status == "expired" or (booking.status == "cancelled" and booking.cancelled_by == BY_PAYMENT)
    if not is_open:
        return Act("return", GONE)
    return Act("seat_again") if now < booking.starts_at else Act("return", BEGUN)


def _wait(row: Row | None, reason: str, now: datetime) -> Act:
    """Wait for a further report; when that time is over the money goes back."""
    is_known = row is not None and row.status == "waiting" and row.reason == reason
    due_at = row.due_at if row and is_known and row.due_at else now + WAITS_FOR
    return Act("wait", reason, due_at) if now < due_at else Act("return", reason)
