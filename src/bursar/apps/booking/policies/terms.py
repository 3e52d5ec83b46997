"""Terms of a booking, and the instants that follow from them. Pure.

Source of the cutoff's rule: N hours before is elapsed time. Before 09:00 on 8 March 2026 in New York, 24 elapsed hours are 08:00 of
the day before, 24 hours of the clock on the wall 09:00; the customer is shown the instant that counts, with its zone.
"""

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args

import msgspec

Late = Literal["keep", "return"]
ExpiredLot = Literal["forfeit", "grace"]
WaitlistMode = Literal["auto", "offer"]

MINUTES_MAX: Final = 90 * 24 * 60
DAYS_MAX: Final = 366
MOVES_MAX: Final = 100
PERCENT_MAX: Final = 100
FEE_MAX: Final = 10**8
FREE_MAX: Final = 20
FEATURE: Final = r"^[!-+\--~]{1,64}$"
"""The name of a feature: printable, no spaces, no commas."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a booking was made under.

    cancel_minutes: until so long before the start cancelling costs nothing. late_cancel, no_show: whether the credits are kept by the
    business or returned. expired_lot: what becomes of credits whose lot expired before they came back: `grace` gives a lot of `grace_days`.
    hold_minutes: how long a seat waits for its payment. money_back: percent of the price that goes back on a cancellation in time.
    reschedules_max, reschedule_minutes: how often a booking may be moved, and until when before its start.
    waitlist_until_minutes: nobody is promoted later than so before the start. waitlist_mode: `auto` gives the seat, `offer` offers it for
    `offer_minutes`. needs_approval: a booking is only requested until staff confirms it.
    no_show_fee_minor, late_cancel_fee_minor: what is owed for a booking whose customer does not come, or cancels late, in `fee_currency`; 0
    is nothing. fee_after: so many of both, in the days of the rule `offences`, cost nothing first. fee_free_for: features whose holders owe none.
    """

    cancel_minutes: int = 24 * 60
    late_cancel: Late = "keep"
    no_show: Late = "keep"
    expired_lot: ExpiredLot = "grace"
    grace_days: int = 14
    hold_minutes: int = 15
    money_back: int = 100
    reschedules_max: int = 3
    reschedule_minutes: int = 24 * 60
    waitlist_until_minutes: int = 60
    waitlist_mode: WaitlistMode = "auto"
    offer_minutes: int = 60
    needs_approval: bool = False
    no_show_fee_minor: int = 0
    late_cancel_fee_minor: int = 0
    fee_currency: str = ""
    fee_after: int = 0
    fee_free_for: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}")
        if type(self.needs_approval) is not bool:
            raise ValueError("needs_approval is true or false")
        object.__setattr__(self, "fee_free_for", tuple(self.fee_free_for))
        _check_fees(self)

    def canonical(self) -> str:
        """Return the JSON that is stored: every field, in the order of their names, so that equal terms are equal texts."""
        return msgspec.json.encode({f.name: getattr(self, f.name) for f in fields(self)}, order="sorted").decode()


BOUNDS: Final = {
    "cancel_minutes": (0, MINUTES_MAX),
    "grace_days": (1, DAYS_MAX),
    "hold_minutes": (1, 24 * 60),
    "money_back": (0, PERCENT_MAX),
    "reschedules_max": (0, MOVES_MAX),
    "reschedule_minutes": (0, MINUTES_MAX),
    "waitlist_until_minutes": (0, MINUTES_MAX),
    "offer_minutes": (5, 7 * 24 * 60),
    "no_show_fee_minor": (0, FEE_MAX),
    "late_cancel_fee_minor": (0, FEE_MAX),
    "fee_after": (0, 100),
}
"""The least and the most of what is a number."""

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "late_cancel": get_args(Late),
    "no_show": get_args(Late),
    "expired_lot": get_args(ExpiredLot),
    "waitlist_mode": get_args(WaitlistMode),
}


def terms_read(told: str | dict[str, Any]) -> Terms:
    """Return stored terms. A field that they do not have yet is as by default; one that is no more is left out."""
    found = msgspec.json.decode(told) if isinstance(told, str) else told
    return Terms(**{f.name: found[f.name] for f in fields(Terms) if f.name in found})


def cancel_by(terms: Terms, starts_at: datetime) -> datetime:
    """Return until when cancelling costs nothing, in UTC: elapsed time before the start."""
    return _before(starts_at, terms.cancel_minutes)


def reschedule_by(terms: Terms, starts_at: datetime) -> datetime:
    """Return until when a booking may be moved, in UTC."""
    return _before(starts_at, terms.reschedule_minutes)


def waitlist_until(terms: Terms, starts_at: datetime) -> datetime:
    """Return until when who waits is given a seat that comes free, in UTC."""
    return _before(starts_at, terms.waitlist_until_minutes)


def _check_fees(terms: Terms) -> None:
    has_fee = terms.no_show_fee_minor or terms.late_cancel_fee_minor
    if not re.fullmatch("[A-Z]{3}" if has_fee else "([A-Z]{3})?", terms.fee_currency, re.ASCII):
        raise ValueError("fee_currency is a currency in upper case, as EUR; a fee has one")
    if len(terms.fee_free_for) > FREE_MAX:
        raise ValueError(f"fee_free_for names {FREE_MAX} features at most")
    if not all(type(each) is str and re.fullmatch(FEATURE, each, re.ASCII) for each in terms.fee_free_for):
        raise ValueError("fee_free_for names features, without spaces or commas")


def _before(starts_at: datetime, minutes: int) -> datetime:
    # In UTC first: what is subtracted from an aware local time is subtracted from the clock on the wall.
    return starts_at.astimezone(UTC) - timedelta(minutes=minutes)
