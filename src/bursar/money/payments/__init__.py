"""Payments, refunds, disputes, invoices and checkouts as Bursar shows them: one row for each, brought to
what the merged facts say.

What it is not: a source of truth of its own; every row can be written again from the merged facts.

Invariants:
- one row for each gateway object, however many reports name it;
- a stand-in (a payment known only through its paid invoice or checkout) gives way to the real payment.
"""

from bursar.money.payments.recording import Assessed, Recorded, record_purchases

__all__ = ["Assessed", "Recorded", "record_purchases"]
