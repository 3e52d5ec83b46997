"""Why somebody cannot book, in words for that person. Pure.

Who is not signed in is told what is so of the class for everybody; what is so of a person is told to that person alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bursar.apps.booking.rules import Failure, for_customer
from bursar.kernel.errors import DomainError

OF_THE_CLASS: Final = frozenset(
    {
        "booking_closed",
        "booking_not_open",
        "class_cancelled",
        "class_full",
        "class_not_published",
        "class_over",
        "class_started",
        "coupon_invalid",
        "coupons_stopped",
        "seats_kept_for_walk_ins",
        "too_many_seats",
    }
)
"""Refusals that say nothing about a person."""


@dataclass(frozen=True, slots=True)
class Why:
    """Something that stands in the way, and what to do about it."""

    code: str
    message: str
    hint: str


NOT_TOLD: Final = Why(
    "not_told",
    "It cannot be booked with this address like that.",
    "Sign in with it to see why, and what to do.",
)


def of_failures(failures: Iterable[Failure]) -> tuple[Why, ...]:
    """Return every rule that is not kept, in words for whom it is about."""
    return tuple(Why(each.code, *for_customer(each.message, each.hint)) for each in failures)


def of_refusal(refusal: DomainError, *, is_known: bool) -> Why:
    """Return what was refused, in words for whoever asked. is_known: he is signed in."""
    if not is_known and refusal.code not in OF_THE_CLASS:
        return NOT_TOLD
    return Why(refusal.code, *for_customer(refusal.message, refusal.hint))
