"""Coupons: codes of a business that lessen the price of seats, as often as it says and no oftener.

What it is: the codes, what they take off which classes, and which bookings they lessened. What it is not: it books nothing, and a
gateway's own promotion codes are none of it (decision 0563).

Invariants:
- a coupon is redeemed once by a booking at most, and never oftener than its limit, however many ask at once;
- its count is the number of its redemptions that were not released;
- what it takes off is never more than the price, and never changes for a booking that has it.
"""

from bursar.apps.booking.coupons.judging import CODE, Offered, discount_of, why_invalid, why_used_up
from bursar.apps.booking.coupons.keeping import Coupon, CouponNotFound, takes_any
from bursar.apps.booking.coupons.redeeming import CouponUsedUp, carry, offered, redeem, release

__all__ = [
    "CODE",
    "Coupon",
    "CouponNotFound",
    "CouponUsedUp",
    "Offered",
    "carry",
    "discount_of",
    "offered",
    "redeem",
    "release",
    "takes_any",
    "why_invalid",
    "why_used_up",
]
