"""Why somebody cannot book, in words for that person. Pure.

Who is not signed in is told what is so of the class for everybody; what is so of a person is told to that person alone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bursar.apps.booking.rules import Failure
from bursar.apps.booking.schedule import times
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

_YOURS: Final = (
    ("the customer's", "your"),
    ("of the customer", "of yours"),
    ("the customer has", "you have"),
    ("the customer will", "you will"),
    ("the customer is", "you are"),
    ("the customer", "you"),
    ("the account", "your account"),
)
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?[+-]\d\d:\d\d)\[([A-Za-z0-9_+/-]{1,64})\]")
_FOR_PROGRAMS: Final = re.compile(r"/v1/|`|GET |POST ")


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
    return tuple(Why(each.code, _said(each.message), _hint(each.hint)) for each in failures)


def of_refusal(refusal: DomainError, *, is_known: bool) -> Why:
    """Return what was refused, in words for whoever asked. is_known: he is signed in."""
    if not is_known and refusal.code not in OF_THE_CLASS:
        return NOT_TOLD
    return Why(refusal.code, _said(refusal.message), _hint(refusal.hint))


def _said(text: str) -> str:
    for theirs, yours in _YOURS:
        text = text.replace(theirs, yours)
    text = _INSTANT.sub(lambda found: times.told(datetime.fromisoformat(found[1]), found[2]), text).strip()
    whole = text[:1].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def _hint(text: str) -> str:
    return "" if not text or _FOR_PROGRAMS.search(text) else _said(text)
