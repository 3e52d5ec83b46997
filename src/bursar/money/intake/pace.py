"""How often deliveries are refused before they are refused unread, and how many an account takes.

A refused delivery costs a signature; after too many from one source to one account, what comes from there is refused before.
A source that delivered something validly signed within the last hour is read all the same: behind a proxy that nobody
configured all sources look alike, and a stranger must not shut a gateway out. Validly signed deliveries are limited only where
an account says so, and never while they cannot be counted: refusing what was paid helps nobody.
"""

import time
from collections import OrderedDict
from typing import Final, TypeVar
from uuid import UUID

from bursar.kernel.rate_limits import Count, Limit, Limiter, RateLimited
from bursar.kernel.settings import Settings

TRUSTED_S: Final = 3600.0
APART_MAX: Final = 10_000

_Way = tuple[UUID | None, str]
"""An account, None for one that does not exist, and a source."""

Kept = TypeVar("Kept")


class Pace:
    """What one process knows of those who deliver."""

    def __init__(self, limiter: Limiter, settings: Settings) -> None:
        self._limiter = limiter
        self._refusals = Limit("webhook", settings.rate_webhook)
        self._shut: OrderedDict[_Way, tuple[float, Count]] = OrderedDict()
        self._trusted: OrderedDict[_Way, float] = OrderedDict()

    def admit(self, account_id: UUID | None, source: str) -> None:
        """Let a delivery be read. Raises RateLimited."""
        if not self._shut:
            return
        way = (account_id, source)
        until, count = self._shut.get(way, (0.0, None))
        now = time.monotonic()
        if count is not None and now < until and self._trusted.get(way, 0.0) < now:
            raise RateLimited(count)

    async def refused(self, account_id: UUID | None, source: str) -> None:
        """Count a refused delivery. Raises RateLimited: one too many."""
        way = (account_id, source)
        count = await self._limiter.count(self._refusals, f"{account_id or '-'} {source}", when_away="admit")
        if count.is_admitted:
            return
        _put(self._shut, way, (time.monotonic() + count.reset_s, count))
        raise RateLimited(count)

    async def signed(self, account_id: UUID, source: str, *, per_minute: int | None) -> None:
        """Take note of a validly signed delivery. per_minute: how many its account takes. Raises RateLimited."""
        _put(self._trusted, (account_id, source), time.monotonic() + TRUSTED_S)
        if per_minute is not None:
            count = await self._limiter.count(Limit("deliveries", per_minute), str(account_id), when_away="admit")
            if not count.is_admitted:
                raise RateLimited(count)


def _put(kept: OrderedDict[_Way, Kept], way: _Way, value: Kept) -> None:
    kept[way] = value
    if len(kept) > APART_MAX:
        kept.popitem(last=False)
