"""Refunds that we ask for: promised within what was captured, called for once, and become what the gateway reports.

What it is: the promise, the call, and what a refusal gives back. What it is not: it takes nothing back from the customer; applying
does, in the transaction that merges the report that the money went back.

Invariants:
- what is promised, has gone back, and is on its way back at the gateway never exceeds what was captured, whatever the race;
- a payment's promised sum is that of its asked refunds without an outcome;
- a refund that is asked for is one row: before the gateway knows it, when it is reported, and when it was refused.
"""

from bursar.money.refunding.promising import ELSEWHERE, PaymentNotRefundable, ask_refund
from bursar.money.refunding.refusals import ASKER

__all__ = ["ASKER", "ELSEWHERE", "PaymentNotRefundable", "ask_refund"]
