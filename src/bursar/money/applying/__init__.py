"""Applying: a batch of one gateway account's events becomes state, grants, books, audit and outbox, in one transaction.

What it is: the order in which the floors of money are brought to what the merged facts say.
What it is not: it decides nothing itself, and it does not know queues, retries or workers.

Invariants:
- applying is idempotent and commutative over events: any order, repetition or batching ends in the same state;
- everything an event causes is in one transaction with its outcome.
"""

from bursar.money.applying.batch import Applied, Translated, apply_batch
from bursar.money.applying.translation import EventInvalid, Pending, translate

__all__ = ["Applied", "EventInvalid", "Pending", "Translated", "apply_batch", "translate"]
