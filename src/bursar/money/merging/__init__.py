"""Merging: snapshots of gateway objects in, the newest of each out, and which of them belong together.

What it is: one register per object (`gateway_object`), replaced only by a newer version; and the
*purchase*, the set of objects (payment, charges, invoice, checkout, refunds, disputes) that reports
have linked to one another.
What it is not: it does not know what the objects mean; `purchases` does.

Invariants:
- merging is idempotent and commutative: any order and repetition of the same snapshots ends in the same rows;
- links only grow: once two objects were reported as belonging together, they are one purchase;
- an object belongs to one purchase at most.
"""

from bursar.money.merging.links import member_names
from bursar.money.merging.registers import (
    Merged,
    Reported,
    Snapshot,
    history_bounds,
    merge,
    objects,
    owners_of_methods,
    subscription_histories,
)
from bursar.money.merging.rewriting import RegisterKey, rewrite, rewrite_same

__all__ = [
    "Merged",
    "RegisterKey",
    "Reported",
    "Snapshot",
    "history_bounds",
    "member_names",
    "merge",
    "objects",
    "owners_of_methods",
    "rewrite",
    "rewrite_same",
    "subscription_histories",
]
