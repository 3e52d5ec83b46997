"""Passes: which credits and memberships pay for what.

What it is: the choice among what a customer has when a class begins, the counting of capped memberships, and what comes back of a
seat that is given up. What it is not: the lots themselves, which are the core's (`money.fulfilment`).

Invariants:
- credits are spent soonest-expiring first, and never ones that expire before the class begins;
- they come back to the lot they came from; where that has expired, as the terms say, and once;
- a capped membership pays for so many classes in a period and never one more, whatever the race.
"""

from bursar.apps.booking.passes.memberships import (
    Feature,
    Membership,
    features_of,
    memberships_among,
    period_of,
)
from bursar.apps.booking.passes.paying import Back, Paid, PaidWith, give_back, pay, queue_up
from bursar.apps.booking.passes.pools import POOLS, POOLS_HERE
from bursar.apps.booking.passes.rolling import AT_ONCE, roll_over

__all__ = [
    "AT_ONCE",
    "POOLS",
    "POOLS_HERE",
    "Back",
    "Feature",
    "Membership",
    "Paid",
    "PaidWith",
    "features_of",
    "give_back",
    "memberships_among",
    "pay",
    "period_of",
    "queue_up",
    "roll_over",
]
