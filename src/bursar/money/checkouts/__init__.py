"""Checkouts: a hosted page at a gateway on which a customer pays for an order.

What it is: the order and the call that makes the page, written in one transaction; and the state of both in one view.
What it is not: it grants nothing. What was paid on the page arrives as a delivery, like every other payment.

Invariants:
- a checkout has its order and its call, or none of the three is there;
- its state is never stored: it is read from the call and from the session that the gateway reports;
- the link is shown to whoever may start checkouts, and only while the page is open;
- of what opens the page on which a customer lands, only the hash is kept beside the checkout.
"""

from bursar.money.checkouts.queries import Checkout, CheckoutNotFound, checkout, checkouts, started
from bursar.money.checkouts.starting import (
    AddressUnknown,
    CheckoutMixed,
    GatewayAccountAmbiguous,
    GatewayAccountMissing,
    Started,
    Wanted,
    Ways,
    path_of,
    start,
    ways_to_pay,
)

__all__ = [
    "AddressUnknown",
    "Checkout",
    "CheckoutMixed",
    "CheckoutNotFound",
    "GatewayAccountAmbiguous",
    "GatewayAccountMissing",
    "Started",
    "Wanted",
    "Ways",
    "checkout",
    "checkouts",
    "path_of",
    "start",
    "started",
    "ways_to_pay",
]
