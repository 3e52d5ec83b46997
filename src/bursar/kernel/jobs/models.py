"""What a job is, what kinds of jobs there are, and what a handler may say instead of finishing."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.jobs.backoff import Backoff

if TYPE_CHECKING:
    from bursar.kernel.jobs.working import Work

INSTALLATION: Final = UUID(int=0)
"""The tenant of work that belongs to no tenant: backups, roll-ups. No key and no person is of this tenant."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)

BACKOFF: Final = Backoff()

Handler = Callable[["Work"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """One job as its worker sees it. attempt: 1 for the first. first_started_at: by the database's clock.

    idempotency_key and request are fixed since its creation, so that whoever is asked twice can tell.
    """

    tenant_id: UUID
    id: UUID
    kind: str
    key: str
    request: bytes
    idempotency_key: UUID
    lane: str | None
    attempt: int
    crashes: int
    fence: int
    first_started_at: datetime
    created_at: datetime
    error: str | None
    correlation_id: str | None
    traceparent: str | None


OnDead = Callable[[Transaction, Job], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: its permanent name `vertical.verb_noun`, and who does it.

    lease_s: how long a worker may have it; the handler is ended `deadline_s` after the claim, which is sooner.
    attempts_max: attempts, those in which a worker died included, after which it rests as dead.
    retries_per_minute: attempts after the first that one worker begins in a minute, for one tenant; more are put off.
    at_once_max: of one worker; leaves the rest of its hands to other kinds.
    on_dead: runs in the transaction that lets a job rest as dead; what it raises keeps the job open.
    """

    name: str
    handle: Handler
    attempts_max: int = 12
    lease_s: float = 60.0
    backoff: Backoff = BACKOFF
    retries_per_minute: int = 60
    at_once_max: int = 1000
    aliases: tuple[str, ...] = ()
    on_dead: OnDead | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            assert _NAME.fullmatch(name), f"{name} is no name of a job: vertical.verb_noun"
        assert self.attempts_max >= 1
        assert self.lease_s >= 1

    @property
    def deadline_s(self) -> float:
        """Seconds from the claim until the handler is ended: the lease less a fifth, at most ten seconds less."""
        return self.lease_s - min(self.lease_s / 5, 10.0)


class Kinds:
    """The kinds that a process knows, by name and by former names."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._by_name = {name: kind for kind in self._kinds for name in (kind.name, *kind.aliases)}
        assert len(self._by_name) == sum(1 + len(kind.aliases) for kind in self._kinds), (
            "a name of a job is taken twice"
        )

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds)

    def __getitem__(self, name: str) -> Kind:
        return self._by_name[name]

    def named(self, name: str) -> Kind | None:
        """Return the kind of this name or former name."""
        return self._by_name.get(name)

    @property
    def by_name(self) -> dict[str, Kind]:
        return dict(self._by_name)


class LeaseLost(Exception):
    """Another worker has this job by now, or it is gone. Nothing was written."""


class Retry(Exception):
    """It failed and may succeed later: an attempt was used. after: not sooner; by default the kind's backoff decides."""

    def __init__(self, reason: str, *, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Postponed(Exception):
    """It was not tried, for instance because a circuit is open. No attempt is used."""

    def __init__(self, reason: str, *, until: datetime | None = None, after: timedelta | None = None) -> None:
        super().__init__(reason)
        assert (until is None) != (after is None), "say until when, or after how long"
        self.until = until
        self.after = after


class GivenUp(Exception):
    """It can never succeed: it rests as dead now."""


class Ambiguous(Exception):
    """Nobody knows whether it was done, and doing it again might do it twice: it rests as unknown, for a person or a report to settle."""
