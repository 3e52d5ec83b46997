"""Rules: what a business asks before a seat is booked, and why somebody cannot book.

What it is: the catalogue, what a business changed of it, and one pure function that says every rule that is not kept. What it is not:
it books nothing, and it is not what keeps a class from being oversold: `bookings` counts seats by a guarded statement.

Invariants:
- an id and a code never change their meaning;
- who asks why he cannot book is told every rule, not the first;
- asking and booking are decided by the same function: where nothing is told, booking succeeds, in a world that stands still;
- a rule without a row is as the catalogue says.
"""

from bursar.apps.booking.rules.catalogue import AT_BOOKING, BY_ID, CATALOGUE, GUESTS_MAX
from bursar.apps.booking.rules.deciding import REFUSALS, NotBookable, failures, refusal, require
from bursar.apps.booking.rules.elsewhere import (
    ATTENDANCE_FINAL,
    CHECK_IN_WINDOW,
    NO_SHOW_AFTER,
    WAITLIST_LENGTH,
    WAITS_ONCE,
)
from bursar.apps.booking.rules.keeping import RuleUnknown, holds, is_chosen, number_of, rules_of, set_rule, settings_of
from bursar.apps.booking.rules.models import Failure, Rule, Settings, Situation, Source
from bursar.apps.booking.rules.reserves import seats_kept
from bursar.apps.booking.rules.situations import situation
from bursar.apps.booking.rules.wording import for_customer

__all__ = [
    "ATTENDANCE_FINAL",
    "AT_BOOKING",
    "BY_ID",
    "CATALOGUE",
    "CHECK_IN_WINDOW",
    "GUESTS_MAX",
    "NO_SHOW_AFTER",
    "REFUSALS",
    "WAITLIST_LENGTH",
    "WAITS_ONCE",
    "Failure",
    "NotBookable",
    "Rule",
    "RuleUnknown",
    "Settings",
    "Situation",
    "Source",
    "failures",
    "for_customer",
    "holds",
    "is_chosen",
    "number_of",
    "refusal",
    "require",
    "rules_of",
    "seats_kept",
    "set_rule",
    "settings_of",
    "situation",
]
