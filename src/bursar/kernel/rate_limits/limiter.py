"""Whether a request is one too many. One limiter for each API process."""

import hashlib
import time
from collections import OrderedDict
from typing import Final, Literal
from uuid import UUID

import structlog
from limits.errors import StorageError

from bursar.kernel.db import Database
from bursar.kernel.errors import LimitExceeded, Unavailable
from bursar.kernel.rate_limits.classes import Holder, Limit, RateClass, defaults
from bursar.kernel.rate_limits.memory import Count, Memory
from bursar.kernel.rate_limits.overrides import Overrides
from bursar.kernel.rate_limits.shared import Shared
from bursar.kernel.settings import Settings

WhenAway = Literal["count_here", "admit", "refuse"]
"""What is done while the shared store does not answer."""

AGAIN_S: Final = 1.0
ACQUAINTED_S: Final = 600.0
ACQUAINTED_MAX: Final = 10_000
PARTS: Final = 20
"""How often open pages may fetch their live parts, for each page that may be asked for."""
_A_USERS: Final[tuple[RateClass, Holder]] = ("general", "user")
_LOGGED_EVERY_S: Final = 10.0

_log = structlog.get_logger("bursar.rate_limits")


class RateLimited(LimitExceeded):
    """More requests came within a minute than are admitted."""

    code = "rate_limited"

    def __init__(self, count: Count) -> None:
        super().__init__(
            f"more than {count.limit.per_minute} requests of the class {count.limit.name} came within a minute",
            hint="Wait for Retry-After. RateLimit and RateLimit-Policy on every answer say how many are left.",
            retry_after_s=count.reset_s,
            context={"class": count.limit.name, "per_minute": count.limit.per_minute},
        )
        self.count = count


class RateLimitsUnavailable(Unavailable):
    """Attempts cannot be counted, and this is nothing to be tried uncounted."""

    code = "rate_limits_unavailable"


class Limiter:
    """Counts in memory, or in the shared store where one is configured."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._defaults = defaults(settings)
        self._overrides = Overrides()
        self._memory = Memory()
        self._shared = Shared(settings.rate_limit_url) if settings.rate_limit_url else None
        self._away_until = self._logged_at = float("-inf")
        self._acquainted: OrderedDict[bytes, float] = OrderedDict()
        self.failures = 0

    async def close(self) -> None:
        """Hang up on the shared store."""
        if self._shared:
            await self._shared.close()

    def is_acquainted_with(self, credential: str) -> bool:
        """True for a credential that was good within the last ten minutes."""
        return self._acquainted.get(_digest(credential), 0.0) > time.monotonic()

    def remember(self, credential: str) -> None:
        """Know a credential that was found to be good."""
        digest = _digest(credential)
        self._acquainted[digest] = time.monotonic() + ACQUAINTED_S
        self._acquainted.move_to_end(digest)
        if len(self._acquainted) > ACQUAINTED_MAX:
            self._acquainted.popitem(last=False)

    def forget(self, credential: str) -> None:
        """Know a credential no more."""
        self._acquainted.pop(_digest(credential), None)

    async def count_caller(
        self, db: Database, *, tenant_id: UUID, holder: Holder, actor: str, rate: RateClass
    ) -> Count:
        """Count a request of a known caller against its tenant's limit."""
        own = await self._overrides.of(db, tenant_id)
        per_minute = own.get((rate, holder)) or self._defaults[rate, holder]
        return await self.count(Limit(rate, per_minute), actor)

    async def count_page(self, db: Database | None, *, tenant_id: UUID | None, holder: str, is_part: bool) -> Count:
        """Count a page, or what an open page fetches by itself. db: to look for the tenant's own limit, where it has one."""
        own = await self._overrides.of(db, tenant_id) if db and tenant_id else {}
        per_minute = own.get(_A_USERS) or self._defaults[_A_USERS]
        limit = Limit("page_part", per_minute * PARTS) if is_part else Limit("general", per_minute)
        return await self.count(limit, holder)

    async def look_at_stranger(self, address: str) -> Count:
        """Look whether somebody we do not know may still try: before anything is looked up."""
        return await self.count(Limit("stranger", self._settings.rate_stranger), address, cost=0)

    async def count_stranger(self, address: str) -> Count:
        """Count a credential that was refused."""
        return await self.count(Limit("stranger", self._settings.rate_stranger), address)

    async def count_sign_in(self, address: str) -> Count:
        """Count an attempt to sign in. Raises RateLimitsUnavailable."""
        return await self.count(Limit("sign_in", self._settings.rate_sign_in), address, when_away="refuse")

    async def count(self, limit: Limit, holder: str, *, cost: int = 1, when_away: WhenAway = "count_here") -> Count:
        """Count a request of a holder. cost: 0 only looks. Raises RateLimitsUnavailable where `when_away` is refuse."""
        if self._shared is None:
            return self._memory.hit(limit, holder, cost=cost)
        if time.monotonic() >= self._away_until:
            try:
                return await self._shared.hit(limit, holder, cost=cost)
            except (StorageError, OSError, TimeoutError) as error:
                self._is_away(error)
        if when_away == "refuse":
            raise RateLimitsUnavailable(
                "attempts to sign in cannot be counted at the moment",
                hint="Try again in a moment; nothing is wrong with what you typed.",
                retry_after_s=max(1, round(AGAIN_S)),
            )
        if when_away == "admit":
            return Count(limit, True, limit.per_minute, 1)
        return self._memory.hit(limit, holder, cost=cost)

    def _is_away(self, error: Exception) -> None:
        """Leave the store alone for a moment, so that nobody else waits for it."""
        now = time.monotonic()
        self.failures += 1
        self._away_until = now + AGAIN_S
        if now >= self._logged_at + _LOGGED_EVERY_S:
            self._logged_at = now
            cause = error.__cause__ or error
            _log.warning("rate_limit_store_away", error=type(cause).__name__, failures=self.failures)


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()
