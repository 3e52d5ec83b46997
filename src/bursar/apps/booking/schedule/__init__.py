"""The schedule: where and when classes take place, who instructs them, and what recurs.

What it is not: who comes (`bookings`), and what it takes to come (`rules`). It changes no booking: what live bookings
stand in the way of is refused with their number, and done by `bookings` through the functions here. One thing it does
itself: when the zone database changes, classes and the times in their bookings move in one transaction.

Invariants:
- what recurs is kept as wall time and zone; the instant is derived, and derived again when the zone database changes;
- a day of a rule is one class, however often it is made, and one that was deleted or edited alone is not made again;
- a room and an instructor are in one place at a time, under parallel requests too, unless the business chose to be warned only;
- a rule never takes longer than a moment to read, whatever it says;
- nobody's seat vanishes: a place, a template or a class with live bookings is not deleted, nor moved.

Locks are taken in the order template, venue, room, staff, classes by their ids.
"""

from bursar.apps.booking.schedule.classes import ClassNotFound, class_of, classes
from bursar.apps.booking.schedule.conflicts import PLACE_RULES, Clash, PlaceRule, ScheduleRuleBroken, clashes_between
from bursar.apps.booking.schedule.editing import Edited, add_class, delete_class, edit_class
from bursar.apps.booking.schedule.models import ClassInstance, Template
from bursar.apps.booking.schedule.places import (
    HasBookings,
    HasClasses,
    PlaceDeleted,
    RoomNotFound,
    StaffNotFound,
    VenueNotFound,
    add_room,
    add_staff,
    add_venue,
)
from bursar.apps.booking.schedule.recurrence import RecurrenceInvalid
from bursar.apps.booking.schedule.refusals import (
    CapacityBelowBooked,
    ClassCancelled,
    ClassesHaveBookings,
    ClassInPast,
    ClassStarted,
    TemplateNotFound,
)
from bursar.apps.booking.schedule.templates import (
    Shaped,
    add_template,
    change_template,
    delete_template,
    split_template,
    template_of,
)
from bursar.apps.booking.schedule.zone_changes import place_again

__all__ = [
    "PLACE_RULES",
    "CapacityBelowBooked",
    "Clash",
    "ClassCancelled",
    "ClassInPast",
    "ClassInstance",
    "ClassNotFound",
    "ClassStarted",
    "ClassesHaveBookings",
    "Edited",
    "HasBookings",
    "HasClasses",
    "PlaceDeleted",
    "PlaceRule",
    "RecurrenceInvalid",
    "RoomNotFound",
    "ScheduleRuleBroken",
    "Shaped",
    "StaffNotFound",
    "Template",
    "TemplateNotFound",
    "VenueNotFound",
    "add_class",
    "add_room",
    "add_staff",
    "add_template",
    "add_venue",
    "change_template",
    "clashes_between",
    "class_of",
    "classes",
    "delete_class",
    "delete_template",
    "edit_class",
    "place_again",
    "split_template",
    "template_of",
]
