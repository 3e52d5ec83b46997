"""Live: the day as the front desk sees it, and what attendance and credits come to.

What it is: reads. What it is not: a copy of anything; every figure is taken from the classes' own counters and the bookings, in one
transaction, so that it is exact at every commit (decision 0551).

Invariants:
- a day is a date of the venue, by its own clock; what is told of a time is told with its zone;
- a figure is what a query by hand over classes, bookings and lots would give;
- sums are of one currency, and play money is never added to real money.
"""

from bursar.apps.booking.live.attendance import Attendance, AttendanceRow, Grouping, attendance
from bursar.apps.booking.live.days import (
    Appointment,
    Day,
    DayClass,
    DayInvalid,
    Roster,
    RosterEntry,
    RosterSeat,
    day_of,
    roster_of,
)
from bursar.apps.booking.live.liabilities import CreditLiability, PoolLiability, credit_liability

__all__ = [
    "Appointment",
    "Attendance",
    "AttendanceRow",
    "CreditLiability",
    "Day",
    "DayClass",
    "DayInvalid",
    "Grouping",
    "PoolLiability",
    "Roster",
    "RosterEntry",
    "RosterSeat",
    "attendance",
    "credit_liability",
    "day_of",
    "roster_of",
]
