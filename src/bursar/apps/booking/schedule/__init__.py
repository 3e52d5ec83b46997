"""The schedule: where and when classes take place, who instructs them, and what recurs.

What it is not: who comes (`bookings`), and what it takes to come (`rules`). It changes no booking: what live bookings
stand in the way of is refused with their number, and done by `bookings` through the functions here.

Invariants:
- what recurs is kept as wall time and zone; the instant is derived, and derived again when the zone database changes;
- a day of a rule is one class, however often it is made, and one that was deleted or edited alone is not made again;
- a room and an instructor are in one place at a time, under parallel requests too, unless the business chose to be warned only;
- a rule never takes longer than a moment to read, whatever it says;
- nobody's seat vanishes: a place, a template or a class with live bookings is not deleted.
"""

from bursar.apps.booking.schedule.classes import ClassNotFound, class_of, classes
from bursar.apps.booking.schedule.models import ClassInstance, Template

__all__ = ["ClassInstance", "ClassNotFound", "Template", "class_of", "classes"]
