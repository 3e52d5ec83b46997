"""What was tried that should not have been: counted, shown and alerted on, and never the defence itself.

Observing is a step in memory that neither waits nor fails; a task writes the counts every two seconds and at the stop,
all tenants' in one statement. A process that is killed loses at most those two seconds of counts.

Invariants:
- observing never fails or slows a request;
- a flood fills neither the memory nor the table: what is too much to be told apart is counted as address `many`;
- what was seen is forgotten in the end, and the audit records of it are not;
- what concerns no tenant has no row: it is counted in the metrics and logged;
- for each actor and id and hour there is one audit record of an id that was not there, however often it was asked for.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, get_args
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.errors import DomainError

Kind = Literal[
    "csrf_refused",
    "idempotency_reused",
    "key_refused",
    "permission_refused",
    "rate_limited",
    "sign_in_failed",
    "signature_refused",
    "suspicious_input",
    "token_refused",
    "unknown_id",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FLUSH_EVERY_S: Final = 2.0
APART_MAX: Final = 500
"""How many actors and addresses of one tenant are told apart within an hour; what comes after is `many`."""
APART_IN_ALL_MAX: Final = 20_000
SUBJECTS_OF_ACTOR_MAX: Final = 100
"""For how many unknown ids of one actor an audit record is written within an hour; the others are only counted."""

FORGOTTEN_MAX: Final = 10_000
"""How many rows are forgotten at once; the rest has its turn a minute later."""

MANY: Final = "many"
_ACTOR_MAX, _ADDRESS_MAX, _DETAIL_MAX, _SUBJECT_MAX = 100, 64, 200, 64
_LOGGED_MAX = 50
_SECRET = re.compile(r"\b(?:bsk|whsec|sk|rk)_\S+|[A-Za-z0-9_+=-]{33,}", re.ASCII)
"""A run of so many characters may be a secret; a public id of ours is shorter."""

_COUNT = """
insert into security_event (tenant_id, id, kind, actor, address, hour, count, detail, first_at, last_at)
select u.tenant_id, u.id, u.kind, u.actor, u.address, u.hour, u.count, u.detail, u.at, u.at
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[], $9::timestamptz[])
  as u (tenant_id, id, kind, actor, address, hour, count, detail, at)
join tenant t on t.tenant_id = u.tenant_id
order by u.tenant_id, u.kind, u.actor, u.address, u.hour
on conflict (tenant_id, kind, actor, address, hour) do update
set count = security_event.count + excluded.count, detail = excluded.detail,
  last_at = greatest(security_event.last_at, excluded.last_at)
"""

_AUDIT = """
insert into audit_record (tenant_id, id, actor, action, subject, changes, address)
select $1, u.id, u.actor, 'id.not_found', u.subject, '{}', nullif(u.address, '')
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as u (id, actor, subject, address)
on conflict (tenant_id, id) do nothing
"""

_FORGET = f"""
delete from security_event where (tenant_id, id) in (
  select tenant_id, id from security_event where tenant_id = any($1::uuid[]) and hour < $2 limit {FORGOTTEN_MAX})
returning 1
"""

_log = structlog.get_logger("bursar.security")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is counted together. tenant_id: None where no tenant is concerned."""

    tenant_id: UUID | None
    kind: Kind
    actor: str
    address: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class _Unknown:
    """An id that somebody asked for and that is not there."""

    tenant_id: UUID
    actor: str
    subject: str
    address: str
    hour: datetime


class Observations:
    """What one process saw: counted in memory, written by a task. clock: what time it is."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._totals: Counter[Kind] = Counter()
        self._waiting: dict[_Seen, tuple[int, str, datetime]] = {}
        self._unknown: dict[_Unknown, None] = {}
        self._hour: datetime | None = None
        self._apart: set[_Seen] = set()
        self._apart_of_tenant: Counter[UUID | None] = Counter()
        self._subjects: set[_Unknown] = set()
        self._subjects_of_actor: Counter[tuple[UUID, str]] = Counter()
        self._task: asyncio.Task[None] | None = None

    @property
    def totals(self) -> Mapping[Kind, int]:
        """How many of each kind this process has seen since it began."""
        return self._totals

    def note(
        self, *, tenant_id: UUID | None, kind: Kind, actor: str, address: str, detail: str, subject: str | None = None
    ) -> None:
        """Count one. subject: the public id that was asked for and is not there."""
        self._totals[kind] += 1
        at = self._clock()
        hour = at.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._begin_hour(hour)
        actor, address = _shown(actor, _ACTOR_MAX), _shown(address, _ADDRESS_MAX)
        seen = self._told_apart(_Seen(tenant_id, kind, actor, address, hour))
        if seen is not None:
            count, _, _ = self._waiting.get(seen, (0, "", at))
            self._waiting[seen] = (count + 1, without_secrets(detail), at)
        if subject and actor and tenant_id is not None:
            self._ask_for(_Unknown(tenant_id, actor, _shown(subject, _SUBJECT_MAX), address, hour))

    def start(self, db: Database) -> None:
        """Begin to write what is seen."""
        self._task = asyncio.create_task(self._write_forever(db))

    async def stop(self, db: Database) -> None:
        """Write what is left and end."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._try_to_flush(db)

    async def flush(self, db: Database) -> None:
        """Write what was seen since the last time. Raises what the database raises; then nothing is lost."""
        waiting, unknown = self._waiting, self._unknown
        self._waiting, self._unknown = {}, {}
        try:
            await _count(db, [(seen, *told) for seen, told in waiting.items() if seen.tenant_id is not None])
            await _record_unknown(db, tuple(unknown))
        except BaseException:
            self._take_back(waiting, unknown)
            raise
        _tell(waiting)

    def _begin_hour(self, hour: datetime) -> None:
        self._hour = hour
        self._apart, self._subjects = set(), set()
        self._apart_of_tenant, self._subjects_of_actor = Counter(), Counter()

    def _told_apart(self, seen: _Seen) -> _Seen | None:
        """Return what to count it with; None when there are too many tenants' to keep any more of them."""
        if seen in self._apart:
            return seen
        many = _Seen(seen.tenant_id, seen.kind, "", MANY, seen.hour)
        if self._apart_of_tenant[seen.tenant_id] >= APART_MAX:
            return many
        if len(self._apart) >= APART_IN_ALL_MAX:
            return many if seen.tenant_id in self._apart_of_tenant else None
        self._apart.add(seen)
        self._apart_of_tenant[seen.tenant_id] += 1
        return seen

    def _ask_for(self, unknown: _Unknown) -> None:
        actor = (unknown.tenant_id, unknown.actor)
        if unknown in self._subjects or self._subjects_of_actor[actor] >= SUBJECTS_OF_ACTOR_MAX:
            return
        if len(self._subjects) >= APART_IN_ALL_MAX:
            return
        self._subjects.add(unknown)
        self._subjects_of_actor[actor] += 1
        self._unknown[unknown] = None

    def _take_back(self, waiting: dict[_Seen, tuple[int, str, datetime]], unknown: dict[_Unknown, None]) -> None:
        for seen, (count, detail, at) in waiting.items():
            newer = self._waiting.get(seen)
            self._waiting[seen] = (newer[0] + count, newer[1], newer[2]) if newer else (count, detail, at)
        self._unknown = unknown | self._unknown

    async def _write_forever(self, db: Database) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self._try_to_flush(db)

    async def _try_to_flush(self, db: Database) -> None:
        if not self._waiting:
            return
        try:
            await self.flush(db)
        except (DomainError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("security_events_not_written", error=type(error).__name__)


class Observer(Protocol):
    """Whoever holds the process's observations: `Resources` does."""

    @property
    def security(self) -> Observations: ...


async def observe(
    by: Observer,
    *,
    tenant_id: UUID | None,
    kind: Kind,
    actor: str,
    address: str,
    detail: str,
    subject: str | None = None,
) -> None:
    """Count one security event. Neither waits nor fails.

    tenant_id: None where no tenant is concerned. actor: `key:key_…`, `user:usr_…`, or '' for nobody we know.
    detail: what it was, in a few words of ours; what looks like a secret in it is left out.
    subject: the public id that was asked for and is not there; an audit record tells of it.
    """
    by.security.note(tenant_id=tenant_id, kind=kind, actor=actor, address=address, detail=detail, subject=subject)


async def forget(db: Database, tenants: Sequence[UUID], *, before: datetime) -> int:
    """Remove what these tenants' counts say of hours before a time; return how many rows."""
    async with db.engine() as tx:
        return len(await tx.fetch(_FORGET, list(tenants), before))


def without_secrets(text: str) -> str:
    """Return a text short and printable, without anything in it that may be a secret."""
    return _shown(_SECRET.sub("…", text[: _DETAIL_MAX * 4]), _DETAIL_MAX)


def _shown(text: str, length_max: int) -> str:
    short = text[:length_max]
    return short if short.isprintable() else "".join(char if char.isprintable() else "?" for char in short)


async def _count(db: Database, seen: Sequence[tuple[_Seen, int, str, datetime]]) -> None:
    if not seen:
        return
    columns: list[tuple[Any, ...]] = [
        (s.tenant_id, ids.new(), s.kind, s.actor, s.address, s.hour, count, detail, at) for s, count, detail, at in seen
    ]
    async with db.engine() as tx:
        await tx.execute(_COUNT, *map(list, zip(*columns, strict=True)))


async def _record_unknown(db: Database, unknown: Sequence[_Unknown]) -> None:
    for tenant_id in dict.fromkeys(u.tenant_id for u in unknown):
        own = [u for u in unknown if u.tenant_id == tenant_id]
        async with db.tenant(tenant_id) as tx:
            await tx.execute(
                _AUDIT,
                tenant_id,
                [_id_of(u) for u in own],
                [u.actor for u in own],
                [u.subject for u in own],
                [u.address for u in own],
            )


def _id_of(unknown: _Unknown) -> UUID:
    """Return the id of the one record there is for an actor, an id and an hour, whichever process writes it: a UUIDv7."""
    content = f"{unknown.tenant_id} {unknown.actor} {unknown.subject}".encode()
    random = int.from_bytes(hashlib.sha256(content).digest()[:10])
    milliseconds = int(unknown.hour.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | (random >> 64 & 0xFFF) << 64 | 2 << 62 | random & 2**62 - 1)


def _tell(waiting: Mapping[_Seen, tuple[int, str, datetime]]) -> None:
    for seen, (count, detail, _) in list(waiting.items())[:_LOGGED_MAX]:
        tenant = ids.show(ids.TENANT, seen.tenant_id) if seen.tenant_id else None
        _log.warning(
            "security_event",
            kind=seen.kind,
            tenant=tenant,
            actor=seen.actor,
            address=seen.address,
            count=count,
            detail=detail,
        )
