"""The desk: what people decide and take by hand.

What it is: orders that a checkout will buy, money taken in cash, and what unmatched money was for. Payments at the
desk and assignments are written as events into a gateway account's history, and are applied like a gateway's reports.
What it is not: it changes no payment, grant or book itself.

Invariants:
- the same reference is the same payment or refund: recording it twice is a repeat;
- refunds of a desk payment never promise more than was taken;
- whoever is erased stays so, whatever comes later or again; amounts, books and grants stay without the person;
- money is assigned to a price by a named person or key, never guessed.
"""

from bursar.money.desk.assigning import PaymentNotUnmatched, assign_payment
from bursar.money.desk.erasing import Erasure, erase_customer
from bursar.money.desk.orders import place_order
from bursar.money.desk.recording import record_payment, record_refund
from bursar.money.desk.unmatched import UnmatchedPayment, unmatched_payments

__all__ = [
    "Erasure",
    "PaymentNotUnmatched",
    "UnmatchedPayment",
    "assign_payment",
    "erase_customer",
    "place_order",
    "record_payment",
    "record_refund",
    "unmatched_payments",
]
