"""How long answers to Idempotency-Keys are kept: by class of route, the installation's numbers or a tenant's own.

What it is not: what keeps and forgets the answers; `kernel.idempotency` does.

Invariants:
- an answer's time is fixed when it is kept: another number counts for later answers;
- a tenant's own number lies within what the installation may be set to.
"""

from bursar.kernel.retentions.own import CLASSES, SECONDS_MAX, SECONDS_MIN, RetentionClass, defaults

__all__ = ["CLASSES", "SECONDS_MAX", "SECONDS_MIN", "RetentionClass", "defaults"]
