"""Why a schedule cannot be changed so."""

from bursar.apps.booking.schedule.models import ClassInstance
from bursar.kernel import ids
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound


class TemplateNotFound(NotFound):
    """No class template of this business has this id."""

    code = "class_template_not_found"


class PolicyNotFound(NotFound):
    """No booking policy of this business has this id."""

    code = "booking_policy_not_found"


class TemplateDeleted(Conflict):
    """The template was deleted."""

    code = "class_template_deleted"


class RoomElsewhere(Invalid):
    """The room is in another venue."""

    code = "room_in_another_venue"


class CapacityMissing(Invalid):
    """Neither a capacity nor a room says how many seats there are."""

    code = "capacity_missing"


class ClassInPast(Conflict):
    """A class begins in the future."""

    code = "class_in_past"


class ClassStarted(Conflict):
    """The class has begun: it stays as it is."""

    code = "class_started"


class ClassCancelled(Conflict):
    """The class was cancelled: it stays as it is."""

    code = "class_cancelled"


class ClassesHaveBookings(Conflict):
    """Somebody has a seat in a class, or waits for one, that would move or vanish."""

    code = "class_has_bookings"


class CapacityBelowBooked(Conflict):
    """More seats are given out than there would be."""

    code = "capacity_below_booked"


class NotAClassDay(Conflict):
    """The template has no class on that day from which another could follow."""

    code = "not_a_class_day"


def have_bookings(what: str, classes: list[ClassInstance]) -> ClassesHaveBookings:
    """Return the refusal, with how many and which."""
    seats = sum(each.taken for each in classes)
    waiting = sum(each.waiting for each in classes)
    shown = [ids.show(ids.CLASS, each.id) for each in classes[:20]]
    return ClassesHaveBookings(
        f"{what}: {seats} seats are given out in {len(classes)} classes, and {waiting} people wait",
        hint="Cancel those classes, or move each of them alone; those who booked are told.",
        fields=tuple(FieldError("class", "class_has_bookings", each) for each in shown),
        context={"bookings": seats, "classes": len(classes), "waiting": waiting},
    )


def below_booked(wanted: int, classes: list[ClassInstance]) -> CapacityBelowBooked:
    """Return the refusal, with how many seats are given out."""
    most = max(each.taken for each in classes)
    return CapacityBelowBooked(
        f"{most} seats are given out in a class, which is more than {wanted}",
        hint="Keep the capacity, cancel bookings, or change the class alone with `allows_overbooked`: then nothing more is sold.",
        fields=(FieldError("capacity", "capacity_below_booked", f"at least {most}"),),
        context={"booked": most, "classes": len(classes)},
    )
