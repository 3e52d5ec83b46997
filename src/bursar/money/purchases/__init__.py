"""Purchases: what a set of linked gateway objects means. Pure: no input, no output, no clock.

What it is: `assess` reads every snapshot of one purchase and answers which payments there are, whether it
is paid, what it bought, what was returned or lost, and who the customer is.
What it is not: it writes nothing; the floors above bring their tables to what it says.

Invariants:
- the answer depends on the set of snapshots alone, never on the order in which they came;
- money that names nothing we sell is `unmatched`, never guessed;
- each price is bought at most once by a purchase, in a quantity.
"""

from bursar.money.purchases.assessment import (
    Assessment,
    Bought,
    CustomerName,
    DisputeView,
    PaymentView,
    RefundView,
    assess,
    names_in,
)
from bursar.money.purchases.plans import BESIDE, History

__all__ = [
    "BESIDE",
    "Assessment",
    "Bought",
    "CustomerName",
    "DisputeView",
    "History",
    "PaymentView",
    "RefundView",
    "assess",
    "names_in",
]
