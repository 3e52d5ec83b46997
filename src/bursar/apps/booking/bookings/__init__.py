"""Bookings: who has which seat in which class, for what it cost, and who waits for one.

What it is: seats, holds, waitlists, cancelling, attendance. What it is not: it does not say who may book (`rules`), under which
terms (`policies`), or when a class is (`schedule`); what is paid with money is paid through `money.checkouts`.

Invariants:
- seats given out never exceed a class's capacity, but for those that staff gave out knowingly, with a reason;
- a customer has one live booking of a class at most;
- seat, credits, booking, waitlist, audit record and letters of one act are one transaction;
- credits are taken once for a booking, and given back once, to the lots they came from;
- a booking keeps the terms and the facts under which it was made;
- who came first to a waitlist is served first, in the transaction that frees the seat;
- who is deleted or erased has nothing ahead: what he booked is cancelled, and he waits no more.

All that happens to the bookings of one class happens under the lock of the class's row. Locks are taken in the order
attendee, classes by their ids, lots, bookings and entries.
"""

from bursar.apps.booking.bookings import changing, deadlines, holding, refunds, waiting
from bursar.apps.booking.bookings.at_desk import take_payment
from bursar.apps.booking.bookings.attending import check_in, mark_no_show, undo_check_in
from bursar.apps.booking.bookings.cancelling import Consequence, Told, cancel, consequence
from bursar.apps.booking.bookings.changing import CalledOff, cancel_class, change_class
from bursar.apps.booking.bookings.confirming import confirm
from bursar.apps.booking.bookings.handing_back import DeskReturn, NothingToHandBack, desk_returns, hand_back
from bursar.apps.booking.bookings.leaving import end_ahead
from bursar.apps.booking.bookings.letters import booking_letters
from bursar.apps.booking.bookings.models import LIVE, Booking, ClassSeats, Entry, Status
from bursar.apps.booking.bookings.moving import reschedule
from bursar.apps.booking.bookings.paying import SPENDS, Landing, money_for
from bursar.apps.booking.bookings.queries import BookingView, WaitlistEntry, bookings, entries
from bursar.apps.booking.bookings.queries import booking as booking_view
from bursar.apps.booking.bookings.refusals import (
    AlreadyBooked,
    AlreadyWaiting,
    BookingNotFound,
    BookingNotLive,
    ClassFull,
)
from bursar.apps.booking.bookings.taking import book
from bursar.apps.booking.bookings.waiting import join as join_waitlist
from bursar.apps.booking.bookings.waiting import leave as leave_waitlist
from bursar.apps.booking.schedule.telling import SERVE_WAITLISTS
from bursar.kernel.jobs import Kind, Schedule

KINDS: tuple[Kind, ...] = (
    Kind(deadlines.EXPIRE_HOLD, holding.expire_hold),
    Kind(waiting.CLOSE_WAITLIST, waiting.close_waitlist),
    Kind(refunds.GIVE_BACK_MONEY, refunds.give_back_money),
    Kind(SERVE_WAITLISTS, changing.serve_waitlists),
)
"""What happens later."""

SCHEDULES: tuple[Schedule, ...] = (Schedule("bookings.waitlists", "*/5 * * * *", SERVE_WAITLISTS, spread_s=240),)
"""What is done at which times."""

__all__ = [
    "KINDS",
    "LIVE",
    "SCHEDULES",
    "SPENDS",
    "AlreadyBooked",
    "AlreadyWaiting",
    "Booking",
    "BookingNotFound",
    "BookingNotLive",
    "BookingView",
    "CalledOff",
    "ClassFull",
    "ClassSeats",
    "Consequence",
    "DeskReturn",
    "Entry",
    "Landing",
    "NothingToHandBack",
    "Status",
    "Told",
    "WaitlistEntry",
    "book",
    "booking_letters",
    "booking_view",
    "bookings",
    "cancel",
    "cancel_class",
    "change_class",
    "check_in",
    "confirm",
    "consequence",
    "desk_returns",
    "end_ahead",
    "entries",
    "hand_back",
    "join_waitlist",
    "leave_waitlist",
    "mark_no_show",
    "money_for",
    "reschedule",
    "take_payment",
    "undo_check_in",
]
