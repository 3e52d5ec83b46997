"""People who come: the customer of an address, what is known of him, and his own way in to the pages of a business.

What it is: adding a customer by address, what rules ask about him, signing in by mail, sessions, and links to single bookings.
What it is not: users of a business (`kernel.identity`); it decides nothing about who may book what (`rules` does).

Invariants:
- a link or code is used once, whoever shows it at the same moment;
- whether a business knows an address is told to nobody: a mail goes to every address that is typed, a few an hour;
- of what opens something only the hash is kept;
- a session is of one business and one address, and ends when it is ended, when nobody used it for a month, and after two.
"""

from bursar.apps.booking.people.addresses import ONLINE, customer_for, describe
from bursar.apps.booking.people.attendees import Attendee, attendee_of, set_attendee
from bursar.apps.booking.people.entering import (
    LETTER,
    Entered,
    Knock,
    SignInOver,
    Wish,
    ask,
    asked,
    check_code,
    enter_by_code,
    enter_by_link,
    sign_in_letters,
    whose,
)
from bursar.apps.booking.people.links import booking_of, front_path, keep_link, link_for, linked_page
from bursar.apps.booking.people.visitors import LIFE, Visitor, dismiss, dismiss_everywhere, visitor

__all__ = [
    "LETTER",
    "LIFE",
    "ONLINE",
    "Attendee",
    "Entered",
    "Knock",
    "SignInOver",
    "Visitor",
    "Wish",
    "ask",
    "asked",
    "attendee_of",
    "booking_of",
    "check_code",
    "customer_for",
    "describe",
    "dismiss",
    "dismiss_everywhere",
    "enter_by_code",
    "enter_by_link",
    "front_path",
    "keep_link",
    "link_for",
    "linked_page",
    "set_attendee",
    "sign_in_letters",
    "visitor",
    "whose",
]
