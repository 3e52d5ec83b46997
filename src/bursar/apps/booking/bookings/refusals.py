"""What is refused, and in which words. Codes are permanent."""

from bursar.apps.booking.schedule.refusals import ClassStarted
from bursar.kernel.errors import Conflict, NotFound


class BookingNotFound(NotFound):
    """There is no such booking."""

    code = "booking_not_found"


class EntryNotFound(NotFound):
    """There is no such place on a waitlist."""

    code = "waitlist_entry_not_found"


class ClassFull(Conflict):
    """Every seat is taken, or those that are free go to who waits."""

    code = "class_full"


class ClassCancelled(Conflict):
    """The class does not take place."""

    code = "class_cancelled"


class ClassNotPublished(Conflict):
    """The class cannot be booked yet."""

    code = "class_not_published"


ClassBegun = ClassStarted


class ClassOver(Conflict):
    """The class has taken place."""

    code = "class_over"


class ClassAttended(Conflict):
    """The class has begun, and somebody is checked in: it takes place."""

    code = "class_attended"


class AlreadyBooked(Conflict):
    """The customer has a seat in this class."""

    code = "already_booked"


class AlreadyWaiting(Conflict):
    """The customer waits for this class."""

    code = "already_waiting"


class AlreadyPromoted(Conflict):
    """The customer was given a seat from the waitlist before, and gave it up."""

    code = "already_promoted"


class SeatsFree(Conflict):
    """There is nothing to wait for."""

    code = "seats_free"


class WaitlistClosed(Conflict):
    """Nobody is given a seat from the waitlist any more."""

    code = "waitlist_closed"


class WaitlistFull(Conflict):
    """As many wait as may."""

    code = "waitlist_full"


class WaitingElsewhere(Conflict):
    """The customer waits for another class at the same time."""

    code = "waiting_elsewhere"


class WishTooLarge(Conflict):
    """More seats are waited for than the class has, or than one booking may have: they would never come free."""

    code = "wish_too_large"


class NotWaiting(Conflict):
    """The entry has ended already."""

    code = "not_waiting"


class PaymentMissing(Conflict):
    """The class costs something, and nothing was said that could pay for it."""

    code = "payment_missing"


class BookingNotLive(Conflict):
    """The booking has ended: its seat was given up."""

    code = "booking_not_live"


class BookingOwesNothing(Conflict):
    """The booking does not wait for money that could be taken at the desk."""

    code = "booking_owes_nothing"


class BookingNotRequested(Conflict):
    """The booking does not wait for a confirmation."""

    code = "booking_not_requested"


class BookingUnfit(Conflict):
    """The booking is in a state that does not allow this."""

    code = "booking_state_unfit"


class CheckInTooEarly(Conflict):
    """The class does not begin soon enough."""

    code = "check_in_too_early"


class CheckInTooLate(Conflict):
    """The class is over for too long."""

    code = "check_in_too_late"


class NoShowTooEarly(Conflict):
    """The class has not begun: whoever is missing may still come."""

    code = "no_show_too_early"


class RescheduleTooLate(Conflict):
    """The time until which the booking could be moved is over."""

    code = "reschedule_too_late"


class ReschedulesUsedUp(Conflict):
    """The booking was moved as often as its terms allow."""

    code = "reschedules_used_up"


class RescheduleUnfit(Conflict):
    """The other class is paid for in another way."""

    code = "reschedule_unfit"
