"""What a coupon takes off a price, and why it cannot be taken. Pure."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final
from uuid import UUID

CODE: Final = "^[A-Za-z0-9][A-Za-z0-9_-]{1,31}$"
"""What a code looks like; small letters are as good as capitals."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A code that somebody gave for seats of a class. coupon_id: None where no coupon has the code.

    is_meant: the coupon is for this class. used_by_customer: live redemptions of this customer. price_minor: of one seat; None where the
    class is not sold for money.
    """

    code: str
    coupon_id: UUID | None = None
    is_on: bool = False
    percent: int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_max: int | None = None
    used: int = 0
    uses_per_customer: int | None = None
    used_by_customer: int = 0
    is_meant: bool = False
    price_minor: int | None = None
    price_currency: str | None = None

    def off(self, seats: int) -> int:
        """Return what it takes off so many seats of the class, in minor units of the price's currency."""
        if self.price_minor is None or (self.currency and self.currency != self.price_currency):
            return 0
        return discount_of(self.price_minor * seats, percent=self.percent, amount_minor=self.amount_minor)


def discount_of(price_minor: int, *, percent: int | None, amount_minor: int | None) -> int:
    """Return what a coupon takes off a price, at most all of it. A share is rounded half to even."""
    if percent is not None:
        return round(Fraction(price_minor * percent, 100))
    return min(amount_minor or 0, price_minor)


def why_invalid(offer: Offered, *, seats: int, now: datetime) -> str | None:
    """Say why a coupon cannot be taken for seats at all; None where it can."""
    code, costs = offer.code, offer.price_minor is not None
    reasons = (
        (offer.coupon_id is None, f"there is no coupon {code}"),
        (not offer.is_on, f"the coupon {code} is not taken any more"),
        (offer.valid_from is not None and now < offer.valid_from, f"the coupon {code} is not taken yet"),
        (offer.valid_until is not None and now >= offer.valid_until, f"the coupon {code} has ended"),
        (not offer.is_meant, f"the coupon {code} is for other classes"),
        (not costs, "the class is not sold for money, and a coupon lessens a price"),
        (
            offer.currency is not None and offer.currency != offer.price_currency,
            f"the coupon {code} is in {offer.currency}, and the class costs {offer.price_currency}",
        ),
        (not offer.off(seats), f"the coupon {code} takes nothing off this price"),
    )
    return next((reason for is_so, reason in reasons if is_so), None)


def why_used_up(offer: Offered) -> str | None:
    """Say why a coupon is used up; None where it is not."""
    if offer.uses_max is not None and offer.used >= offer.uses_max:
        return f"the coupon {offer.code} was taken as often as it may be"
    if offer.uses_per_customer is not None and offer.used_by_customer >= offer.uses_per_customer:
        return f"the customer has taken the coupon {offer.code} as often as one may"
    return None
