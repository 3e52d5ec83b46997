"""What drills found and what the store listed, written down in the living database, where health and pages read it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from bursar.backups.catalogue import Catalogue
from bursar.backups.drilling import Drilled, Targets
from bursar.backups.source import SESSION
from bursar.kernel import ids
from bursar.kernel.errors import Conflict
from bursar.kernel.postgres import Recovery

SHOWN: Final = 50
_LOCK: Final = 0x4255_5253_4452_4C  # one drill at a time
_KEPT: Final = 1000
_TEXT_MAX: Final = 500

_BROKEN_OFF = """
update backup_drill set state = 'broken_off', ended_at = clock_timestamp(), failure = 'the process that did it was ended'
where state = 'running'
"""
_BEGIN = "insert into backup_drill (id, rpo_target_s) values ($1, $2)"
_END = """
update backup_drill set state = $2, ended_at = clock_timestamp(), backup = $3, point = $4, mark = $5, rto_s = $6, rto_target_s = $7,
  rpo_s = $8, checks = $9::text::jsonb, failure = $10
where id = $1
"""
_FORGET = "delete from backup_drill where began_at < (select began_at from backup_drill order by began_at desc offset $1 limit 1)"

_DRILLS = """
select id, began_at, ended_at, state, backup, point, mark, rto_s, rto_target_s, rpo_s, rpo_target_s, checks::text, failure
from backup_drill order by began_at desc limit $1
"""
_LISTED = """
select name, kind, parent, ended_at, plain_bytes, stored_bytes, coalesce(b.failure, d.failure) as failure
from backup_listed b left join backup_damage d on d.what = b.name
order by name desc limit $1
"""


class DrillUnderWay(Conflict):
    """A drill is being done already."""

    code = "drill_under_way"


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A drill, as it was written down. checks: name, ok, found."""

    id: UUID
    began_at: datetime
    ended_at: datetime | None
    state: str
    backup: str | None
    point: str | None
    mark: int | None
    rto_s: float | None
    rto_target_s: float | None
    rpo_s: float | None
    rpo_target_s: float
    checks: Sequence[dict[str, Any]]
    failure: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A backup, as the store listed it. kind: None where it does not open, which failure says."""

    name: str
    kind: str | None
    parent: str | None
    ended_at: datetime | None
    plain_bytes: int | None
    stored_bytes: int | None
    failure: str | None


class Notes:
    """One drill's page in the book. connection: the superuser's, to the living database."""

    def __init__(self, connection: Any, drill_id: UUID) -> None:
        self._connection = connection
        self.id = drill_id

    async def end(self, found: Drilled) -> str:
        """Write down what was found; return the state."""
        state = "passed" if found.is_passed else "failed"
        await self._connection.execute(
            _END,
            self.id,
            state,
            found.backup,
            found.point,
            found.mark,
            found.rto_s,
            found.rto_target_s,
            found.rpo_s,
            json.dumps([asdict(check) for check in found.checks]),
            found.complaint[:_TEXT_MAX] or None,
        )
        await self._connection.execute(_FORGET, _KEPT)
        return state


async def clear_leftovers(url: str, scratch: Path) -> None:
    """Remove what a drill left that was killed, and say that it was broken off; nothing while one is being done."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30, server_settings=SESSION)
    try:
        if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            await connection.execute(_BROKEN_OFF)
            await asyncio.to_thread(Recovery.clear, scratch)
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def noted(url: str, targets: Targets) -> AsyncIterator[Notes]:
    """Begin a drill, alone. One that was broken off before is said to be so. Raises: DrillUnderWay."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30, server_settings=SESSION)
    try:
        try:
            # Whoever removes what a killed one has left is done within the session's seconds of waiting for a lock.
            await connection.execute("select pg_advisory_lock($1)", _LOCK)
        except asyncpg.LockNotAvailableError:
            raise DrillUnderWay("a drill is being done already", hint="Wait until it has ended.") from None
        await connection.execute(_BROKEN_OFF)
        notes = Notes(connection, ids.new())
        await connection.execute(_BEGIN, notes.id, targets.rpo_s)
        try:
            yield notes
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.execute(_BROKEN_OFF)
    finally:
        await connection.close(timeout=5)


def columns_of(catalogue: Catalogue) -> list[list[Any]]:
    """Return what the store lists, as the columns of `backup_listed`. Pure."""
    rows: list[tuple[Any, ...]] = [
        (b.id, b.kind, b.parent, datetime.fromisoformat(b.began_at), b.ended, b.plain_bytes, b.size, None)
        for b in catalogue.backups
    ]
    rows += [(name, None, None, None, None, None, None, why.message[:_TEXT_MAX]) for name, why in catalogue.unread]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(8)]


async def drills(tx: Any) -> list[DrillReport]:
    """Return the newest drills, newest first. tx: as the engine."""
    rows = await tx.fetch(_DRILLS, SHOWN)
    return [DrillReport(**{**dict(row), "checks": json.loads(row["checks"])}) for row in rows]


async def listed(tx: Any) -> list[Listed]:
    """Return the newest backups, newest first. tx: as the engine."""
    return [Listed(**dict(row)) for row in await tx.fetch(_LISTED, SHOWN)]
