"""Paying: money that we ask for with a saved way to pay, and those ways themselves.

What it is: the rules of what can be asked for, the call, and what the gateway said to it. What it is not: it grants nothing.
Money that came arrives as a report, like every other payment, and grants what its order says.

Invariants:
- a payment is asked for with its order and its call, or none of them is there;
- the payment that the gateway reports has the id that we gave it;
- a payment has at most one change whose outcome nobody knows, and so has a saved way to pay;
- a customer whose bank wants to ask him is sent one link for a payment;
- one word is told for each way to pay and each of its expiries.
"""

from bursar.money.paying.asking import PaymentPriceUnfit, Wanted, ask_payment
from bursar.money.paying.confirming import confirmation_letters
from bursar.money.paying.hearing import ASKER, CONFIRMATION_LETTER
from bursar.money.paying.method_queries import PaymentMethod, payment_methods
from bursar.money.paying.queries import PaymentChange, payment_changes
from bursar.money.paying.saving import SAVING
from bursar.money.paying.usable import (
    CustomerGone,
    PaymentMethodDetached,
    PaymentMethodExpired,
    PaymentMethodMissing,
    PaymentMethodNotFound,
    PaymentMethodOfAnother,
)
from bursar.money.paying.waiting import PaymentChangeOpen, PaymentStateRefuses, cancel, confirm

__all__ = [
    "ASKER",
    "CONFIRMATION_LETTER",
    "SAVING",
    "CustomerGone",
    "PaymentChange",
    "PaymentChangeOpen",
    "PaymentMethod",
    "PaymentMethodDetached",
    "PaymentMethodExpired",
    "PaymentMethodMissing",
    "PaymentMethodNotFound",
    "PaymentMethodOfAnother",
    "PaymentPriceUnfit",
    "PaymentStateRefuses",
    "Wanted",
    "ask_payment",
    "cancel",
    "confirm",
    "confirmation_letters",
    "payment_changes",
    "payment_methods",
]
