"""Counts of all processes, in Redis or Valkey, by the `limits` library."""

import time
from math import floor
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from bursar.kernel.rate_limits.classes import Limit
from bursar.kernel.rate_limits.memory import Count

TIMEOUT_S: Final = 0.25
CONNECTIONS_MAX: Final = 100
_NAMESPACE = "bursar"


class Shared:
    """Counts in one store. url: redis://…, rediss://…, valkey://… or valkeys://…"""

    def __init__(self, url: str) -> None:
        plain = "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url
        self._storage = RedisStorage(
            f"async+{plain}",
            wrap_exceptions=True,
            implementation="redispy",
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            max_connections=CONNECTIONS_MAX,
        )
        self._strategy = SlidingWindowCounterRateLimiter(self._storage)

    async def close(self) -> None:
        """Hang up."""
        await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]

    async def hit(self, limit: Limit, holder: str, *, cost: int = 1) -> Count:
        """Count a request if it is admitted. cost: 0 only looks whether it would be. Raises StorageError, OSError."""
        item = RateLimitItemPerMinute(limit.per_minute, namespace=_NAMESPACE)
        is_admitted = not cost or await self._strategy.hit(item, limit.name, holder, cost=cost)
        standing = await self._strategy.get_window_stats(item, limit.name, holder)
        reset_s = max(0, floor(standing.reset_time - time.time())) + 1
        return Count(limit, is_admitted and (cost > 0 or standing.remaining > 0), standing.remaining, reset_s)
