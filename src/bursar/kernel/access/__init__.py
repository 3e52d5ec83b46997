"""Who holds what: a business's API keys and its own roles. What may be given, and by whom.

What it is not: it recognises nobody (`kernel.auth` does) and decides no request (`kernel.permissions` does).

Invariants:
- nobody gives more than he has: neither permissions, nor a longer life, nor more addresses;
- a key's secret is shown once, and only its hash is kept;
- what a key may do never changes; it is given a successor, or revoked;
- the roles that every business has are the same everywhere, and nobody's own role takes their names.
"""

from bursar.kernel.access.giving import OPERATOR, Giver, MoreThanHeld

__all__ = ["OPERATOR", "Giver", "MoreThanHeld"]
