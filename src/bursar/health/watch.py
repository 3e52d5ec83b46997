"""Asks how things stand, and shares the answer: a thousand probes cost one look."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import asyncpg

from bursar.health.machine import machine
from bursar.health.parts import Part, parts_of
from bursar.health.standing import Holding, Issuers, Seldom, Standing, look
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.jobs import Kinds

KEPT_S: Final = 1.0
SELDOM_KEPT_S: Final = 10.0
"""It is asked of every tenant, so not as often."""
ANSWER_MAX_S: Final = 3.0


class DatabaseSlow(Unavailable):
    """The database did not answer a small question in time."""

    code = "database_slow"


def _nobody_asked() -> Issuers:
    return Issuers()


class Watch:
    """How things stand, as one process knows it. issuers: what it knows of identity providers."""

    def __init__(self, held: Holding, kinds: Kinds, *, issuers: Callable[[], Issuers] = _nobody_asked) -> None:
        self._held = held
        self._kinds = kinds
        self._issuers = issuers
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._answer: Standing | DomainError | None = None
        self._seldom: tuple[float, Seldom] | None = None
        self.looks = 0
        """How often the database was asked since the process began."""

    async def standing(self) -> Standing:
        """Return how things stand.

        Raises DatabaseUnavailable, DatabaseSlow, SchemaNewer, SchemaOlder, MigrationChanged.
        """
        async with self._lock:
            if self._answer is None or time.monotonic() >= self._until:
                self._answer = await self._ask()
                self._until = time.monotonic() + KEPT_S
            answer = self._answer
        if isinstance(answer, DomainError):
            raise answer.with_traceback(None)
        return answer

    async def parts(self) -> tuple[Part, ...]:
        """Return every part; one that cannot be looked at is unhealthy, and nothing is raised."""
        seen: Standing | DomainError
        try:
            seen = await self.standing()
        except DomainError as refusal:
            seen = refusal
        here = await asyncio.to_thread(machine, self._held.settings.data)
        return parts_of(seen, here, self._issuers(), self._held.settings)

    async def _ask(self) -> Standing | DomainError:
        self.looks += 1
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                kept = self._seldom[1] if self._seldom and time.monotonic() < self._seldom[0] else None
                found = await look(self._held, self._kinds, seldom=kept)
        except DomainError as refusal:
            return refusal
        except TimeoutError:
            return DatabaseSlow(f"the database did not answer within {ANSWER_MAX_S:g} s", retry_after_s=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return DatabaseSlow(f"the database refused: {type(error).__name__}", retry_after_s=2)
        if kept is None:
            self._seldom = (time.monotonic() + SELDOM_KEPT_S, found.seldom)
        return found


async def current_parts(held: Holding, kinds: Kinds) -> tuple[Part, ...]:
    """Look once and return every part as data, for jobs and commands. held: a job's resources will do. Raises nothing."""
    return await Watch(held, kinds).parts()
