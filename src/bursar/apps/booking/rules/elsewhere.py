"""Rules that are decided elsewhere than when a seat is booked: where, and with which code."""

from typing import Final

from bursar.apps.booking.rules.models import Rule

ELSEWHERE: Final[tuple[Rule, ...]] = ()
"""In the order of their numbers. What they need is set where it is decided: in the terms of a policy, in a class, in a price."""
