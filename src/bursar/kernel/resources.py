"""What one API process works with: settings, database, seal, limits, clock. Opened and closed with the process."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from starlette.requests import Request

from bursar.kernel.access.uses import Uses
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.rate_limits import Limiter
from bursar.kernel.seal import Seal
from bursar.kernel.security import Observations
from bursar.kernel.settings import Settings
from bursar.kernel.slow import SlowStatements

OnOpen = Callable[[Database], Awaitable[None]]
"""What is done once the database answers."""

_RETRY_S = 1.0
_log = structlog.get_logger("bursar.resources")


class Resources:
    """A database that does not answer at the start is tried again until it does; meanwhile `db` refuses."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = utc_now, on_open: OnOpen | None = None
    ) -> None:
        self.settings = settings
        self.now = clock
        self.security = Observations(clock)
        self.limits = Limiter(settings)
        self.uses = Uses(clock)
        self.passwords = Passwords()
        self.slow = SlowStatements(
            process="api", over_ms=settings.slow_statement_ms, plan_over_ms=settings.slow_plan_ms
        )
        self._on_open = on_open
        self._db: Database | None = None
        self._seal: Seal | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def db(self) -> Database:
        """The open database. Raises DatabaseUnavailable."""
        if self._db is None:
            raise DatabaseUnavailable("the database does not answer yet", retry_after_s=2)
        return self._db

    @property
    def seal(self) -> Seal:
        """The installation's seal. Raises SecretKeyWrong."""
        if self._seal is None:
            self._seal = Seal(self.settings.secret_key)
        return self._seal

    async def open(self) -> None:
        """Connect, or begin to try."""
        try:
            await self._connect()
        except DatabaseUnavailable as failure:
            _log.warning("database_unavailable", detail=failure.message)
            self._opening = asyncio.create_task(self._keep_trying())

    async def close(self) -> None:
        if self._opening:
            self._opening.cancel()
        await self.limits.close()
        if self._db:
            await self.security.stop(self._db)
            await self.uses.stop(self._db)
            await self.slow.stop(self._db)
            await self._db.close()
            self._db = None

    async def _keep_trying(self) -> None:
        while self._db is None:
            await asyncio.sleep(_RETRY_S)
            try:
                await self._connect()
            except DatabaseUnavailable:
                continue
        _log.info("database_available")

    async def _connect(self) -> None:
        db = await Database.open(self.settings.database_url, size=self.settings.pool_size, watch=self.slow.watch)
        if self._on_open:
            await self._on_open(db)
        self.security.start(db)
        self.uses.start(db)
        self.slow.start(db)
        self._db = db


def resources_of(request: Request) -> Resources:
    """Return the process's resources (a FastAPI dependency)."""
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found
