"""How often: limits by class of route, for each user, key or address, counted in this process or for all in Valkey.

What it is not: a defence of its own. Passwords have counters in the database that no flood forgets.

Invariants:
- a count takes the same memory whether ten or ten million addresses ask; nobody who was counted is forgotten within the window;
- a store that is away makes nobody wait: for a second each process counts by itself, and tries again;
- sign-in is refused while the store is away; nothing else is.
"""

from bursar.kernel.rate_limits.classes import CLASSES, HOLDERS, Limit, RateClass
from bursar.kernel.rate_limits.limiter import Limiter, RateLimited, RateLimitsUnavailable
from bursar.kernel.rate_limits.memory import Count

__all__ = ["CLASSES", "HOLDERS", "Count", "Limit", "Limiter", "RateClass", "RateLimited", "RateLimitsUnavailable"]
