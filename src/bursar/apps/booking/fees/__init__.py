"""Fees: what a customer owes for not coming, or for cancelling late.

What it is: raising a fee, asking for its payment, and its end: paid, waived, withdrawn or given back. What it is not: the money, which is
paid through `money.checkouts` and told by the gateway; and what becomes of credits, which `bookings` decides by the same terms.

Invariants:
- a fee is of a no-show or a late cancellation, and as large as the booking's own terms say;
- a booking has one fee at most that is not withdrawn, whatever the race;
- a fee is paid by one payment; what is paid twice, or for a fee that is owed no more, goes back;
- what it was raised for is undone: it is withdrawn, and what was paid for it goes back.
"""

from bursar.apps.booking.fees.asking import Asked, FeeBeingPaid, ask, order
from bursar.apps.booking.fees.letters import fee_letters
from bursar.apps.booking.fees.models import Fee, FeeKind, FeeStatus, Offence
from bursar.apps.booking.fees.paid import KINDS, Fees
from bursar.apps.booking.fees.queries import FeeView, fee, fee_of_booking, fees, open_fees
from bursar.apps.booking.fees.raising import FeeNotFound, FeeNotOpen, due, raise_fee, waive, withdraw

__all__ = [
    "KINDS",
    "Asked",
    "Fee",
    "FeeBeingPaid",
    "FeeKind",
    "FeeNotFound",
    "FeeNotOpen",
    "FeeStatus",
    "FeeView",
    "Fees",
    "Offence",
    "ask",
    "due",
    "fee",
    "fee_letters",
    "fee_of_booking",
    "fees",
    "open_fees",
    "order",
    "raise_fee",
    "waive",
    "withdraw",
]
