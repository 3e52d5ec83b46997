"""Policies: the terms under which seats are booked, cancelled, waited for and moved.

What it is: named terms of a business, one of them its default, and the instants that follow from them. What it is not: it
cancels nothing; `bookings` does, by the terms that the booking itself keeps.

Invariants:
- a booking keeps the terms under which it was made: changing a policy changes no booking;
- a business has one default at most; without one the terms are those of `Terms()`;
- a cutoff is elapsed time before the start, computed once, in UTC; what people read is that same instant with its zone.
"""

from bursar.apps.booking.policies.keeping import (
    Policy,
    PolicyInUse,
    change_policy,
    create_policy,
    delete_policy,
    policies_of,
    policy_of,
    terms_for,
)
from bursar.apps.booking.policies.terms import Terms, cancel_by, reschedule_by, terms_read, waitlist_until
from bursar.apps.booking.schedule.refusals import PolicyNotFound

__all__ = [
    "Policy",
    "PolicyInUse",
    "PolicyNotFound",
    "Terms",
    "cancel_by",
    "change_policy",
    "create_policy",
    "delete_policy",
    "policies_of",
    "policy_of",
    "reschedule_by",
    "terms_for",
    "terms_read",
    "waitlist_until",
]
