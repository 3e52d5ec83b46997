"""Statements that take long: counted by their text, which has no values in it, and explained once a day.

Noting one is a step in memory of the process that ran it; a task writes what was noted every few seconds. Ours are
prepared statements with bound parameters, so a text tells nothing of what was asked for; ids that stand in one are left out.

The plan is the generic one, asked for afterwards (decision 0621): it takes no values and runs nothing.

Invariants:
- noting neither waits nor fails, and keeps no values;
- a flood of different texts fills neither memory nor table;
- a plan is asked for at most once a day for each text, in a transaction of its own with a short timeout.
"""

import asyncio
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel.db import Database, Transaction, attempt, become_engine
from bursar.kernel.errors import DomainError

Process = Literal["api", "worker"]

FLUSH_EVERY_S: Final = 5.0
APART_MAX: Final = 300
"""Texts told apart between two writings; what comes after is not noted, and that is logged."""
PLANS_AT_ONCE: Final = 5
SHOWN_MAX: Final = 100
_STATEMENT_MAX: Final = 10_000
_PLAN_MAX: Final = 20_000
_NO_TENANT: Final = UUID(int=0)

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_CAN_BE_EXPLAINED = re.compile(r"\s*(select|insert|update|delete|with|merge)\b", re.ASCII | re.IGNORECASE)

_WRITE = """
insert into slow_statement (day, digest, process, statement, calls, total_ms, longest_ms, last_at)
select u.day, u.digest, $2, u.statement, u.calls, u.total_ms, u.longest_ms, u.last_at
from unnest($1::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[])
  as u (day, digest, statement, calls, total_ms, longest_ms, last_at)
order by u.day, u.digest
on conflict (day, digest, process) do update set calls = slow_statement.calls + excluded.calls,
  total_ms = slow_statement.total_ms + excluded.total_ms,
  longest_ms = greatest(slow_statement.longest_ms, excluded.longest_ms),
  last_at = greatest(slow_statement.last_at, excluded.last_at)
"""
_TO_PLAN = f"""
select day, digest, statement from slow_statement
where day = any($1::date[]) and digest = any($2::text[]) and process = $3 and longest_ms >= $4 and planned_at is null
limit {PLANS_AT_ONCE}
"""
_PLANNED = """
update slow_statement set plan = $4, planned_at = clock_timestamp() where day = $1 and digest = $2 and process = $3
"""
_FORGET = "delete from slow_statement where day < $1"
_SHOWN = f"""
select digest, process, statement, sum(calls)::bigint as calls, sum(total_ms)::bigint as total_ms,
  max(longest_ms) as longest_ms, max(last_at) as last_at,
  (array_agg(plan order by day desc) filter (where plan is not null))[1] as plan
from slow_statement group by digest, process, statement order by sum(total_ms) desc, digest limit {SHOWN_MAX}
"""

_PARAMETERS = "select cardinality(parameter_types) from pg_prepared_statements where name = $1"
_NAME: Final = "bursar_slow"

_log = structlog.get_logger("bursar.slow")


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A text that took long. calls: that took long; others are not counted. plan: None where none was asked for."""

    digest: str
    process: Process
    statement: str
    calls: int
    total_ms: int
    longest_ms: int
    last_at: datetime
    plan: str | None


@dataclass(slots=True)
class _Noted:
    calls: int
    total_ms: int
    longest_ms: int
    last_at: datetime


class SlowStatements:
    """What one process found slow. over_ms: from when on; 0 is never. plan_over_ms: from when on it is explained."""

    def __init__(self, *, process: Process, over_ms: int, plan_over_ms: int) -> None:
        self._process: Final = process
        self._over_s = over_ms / 1000
        self._plan_over_ms = plan_over_ms
        self._noted: dict[tuple[date, str], _Noted] = {}
        self._task: asyncio.Task[None] | None = None
        self.total = 0
        """How many were slow since the process began."""

    def watch(self, connection: Any) -> None:
        """Note what is slow on a connection from now on."""
        if self._over_s:
            connection.add_query_logger(self.note)

    def note(self, record: Any) -> None:
        """Count a statement if it was slow. record: what the driver says of one."""
        if record.elapsed < self._over_s:
            return
        self.total += 1
        at, took_ms = datetime.now(UTC), int(record.elapsed * 1000)
        key = (at.date(), _ID.sub("…", record.query[:_STATEMENT_MAX]))
        noted = self._noted.get(key)
        if noted is None:
            if len(self._noted) >= APART_MAX:
                return
            noted = self._noted[key] = _Noted(0, 0, 0, at)
        noted.calls += 1
        noted.total_ms += took_ms
        noted.longest_ms = max(noted.longest_ms, took_ms)
        noted.last_at = at

    def start(self, db: Database) -> None:
        """Begin to write what is noted."""
        self._task = asyncio.create_task(self._write_forever(db))

    async def stop(self, db: Database) -> None:
        """Write what is left and end."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self.flush(db)

    async def flush(self, db: Database) -> None:
        """Write what was noted since the last time. What the database refuses is logged and lost: it is only a log."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        if len(noted) == APART_MAX:
            _log.warning("slow_statements_too_many", apart=APART_MAX)
        try:
            await self._write(db, noted)
            await self._explain(db, noted)
        except (DomainError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("slow_statements_not_written", error=type(error).__name__)

    async def _write_forever(self, db: Database) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush(db)

    async def _write(self, db: Database, noted: dict[tuple[date, str], _Noted]) -> None:
        rows = [
            (day, _digest(text), text, n.calls, n.total_ms, n.longest_ms, n.last_at) for (day, text), n in noted.items()
        ]
        days, *columns = map(list, zip(*rows, strict=True))
        async with db.engine() as tx:
            await tx.execute(_WRITE, days, self._process, *columns)

    async def _explain(self, db: Database, noted: dict[tuple[date, str], _Noted]) -> None:
        days, digests = {day for day, _ in noted}, {_digest(text) for _, text in noted}
        async with db.engine() as tx:
            wanted = await tx.fetch(_TO_PLAN, list(days), list(digests), self._process, self._plan_over_ms)
        for row in wanted:
            plan = await plan_of(db, row["statement"])
            async with db.engine() as tx:
                await tx.execute(_PLANNED, row["day"], row["digest"], self._process, plan)


async def plan_of(db: Database, statement: str) -> str:
    """Return how PostgreSQL would go about a statement whatever its values, or why that cannot be said. Runs nothing."""
    if not _CAN_BE_EXPLAINED.match(statement) or len(statement) == _STATEMENT_MAX:
        return "no plan: only queries and changes of rows have one"
    async with db.tenant(_NO_TENANT) as tx:
        await tx.execute("set local statement_timeout = 2000; set local plan_cache_mode = force_generic_plan")
        try:
            return await _explained(tx, statement)
        except asyncpg.InsufficientPrivilegeError:
            await become_engine(tx)
        except asyncpg.PostgresError as error:
            return f"no plan: {type(error).__name__}"
        try:
            return await _explained(tx, statement)
        except asyncpg.PostgresError as error:
            return f"no plan: {type(error).__name__}"


async def slow_statements(db: Database) -> list[SlowStatement]:
    """Return what took most time altogether, of every day that is kept."""
    async with db.engine() as tx:
        return [SlowStatement(**dict(row)) for row in await tx.fetch(_SHOWN)]


async def forget(db: Database, *, before: datetime) -> None:
    """Forget the days before a time."""
    async with db.engine() as tx:
        await tx.execute(_FORGET, before.astimezone(UTC).date())


async def _explained(tx: Transaction, statement: str) -> str:
    """Prepare it under a name, which the extended protocol does for one statement only, and explain that without values."""
    try:
        async with attempt(tx):
            await tx.fetch(f"prepare {_NAME} as {statement}")
            nulls = ", ".join(["null"] * await tx.fetchval(_PARAMETERS, _NAME))
            rows = await tx.fetch(f"explain execute {_NAME}" + (f"({nulls})" if nulls else ""))
    finally:
        if await tx.fetchval(_PARAMETERS, _NAME) is not None:  # it outlives a rollback
            await tx.execute(f"deallocate {_NAME}")
    return "\n".join(row[0] for row in rows)[:_PLAN_MAX]


def _digest(statement: str) -> str:
    return hashlib.sha256(statement.encode()).hexdigest()[:16]
