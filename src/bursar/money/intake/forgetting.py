"""Raw bodies whose time is over go by the month: a partition is detached and dropped, which costs the same for ten rows as for ten million.

What an event meant stays, and so does its row, by which a repeated delivery is known for ever. A month in which an event
still waits, or came to rest as a dead letter, is kept until that is settled.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from bursar.kernel.db import become_engine
from bursar.money.intake.partitions import name_of

ATTEMPTS_MAX: Final = 40
LOCK_MS: Final = 250
"""Intake waits behind the lock for so long at most; then it has its turn, and we try again."""
_BETWEEN_S: Final = 0.5

_MONTHS: Final = """
select c.relname as name, c.relispartition as is_attached, greatest(c.reltuples, 0)::bigint as rows, pg_total_relation_size(c.oid)::bigint as bytes
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname ~ '^gateway_event_body_\\d{4}_\\d\\d$' and c.relname < $1
order by c.relname
"""
_NEEDED: Final = """
select count(*) from (
  select tenant_id, event_id from gateway_event_queue union all select tenant_id, event_id from gateway_event_dead
) w join gateway_event e on e.tenant_id = w.tenant_id and e.id = w.event_id
where e.received_at >= $1 and e.received_at < $2
"""
STATEMENTS: Final = (_MONTHS, _NEEDED)


@dataclass(frozen=True, slots=True)
class Month:
    """A month's bodies. rows: as PostgreSQL last estimated them. needed: events of it that are not settled, which keep it."""

    name: str
    rows: int
    bytes: int
    needed: int
    is_attached: bool


async def old_months(tx: Any, *, kept_months: int, now: datetime) -> list[Month]:
    """Return the months that are older than so many whole ones. tx: as the engine; kept_months 0: for ever, so none."""
    if not kept_months:
        return []
    found = await tx.fetch(_MONTHS, name_of(_back(now, kept_months)))
    return [Month(needed=await tx.fetchval(_NEEDED, *_span(row["name"])), **dict(row)) for row in found]


async def forget_months(connection: Any, *, kept_months: int, now: datetime) -> Sequence[Month]:
    """Drop every old month that nothing needs. connection: the owner's, outside of a transaction. Return those that went.

    Raises asyncpg.LockNotAvailableError, when nobody let us have the lock for so many attempts.
    """
    async with connection.transaction(readonly=True):
        await become_engine(connection)
        old = await old_months(connection, kept_months=kept_months, now=now)
    gone = [month for month in old if not month.needed]
    for month in gone:
        if month.is_attached:
            await _patiently(connection, f"alter table gateway_event_body detach partition {month.name}")
        # Nobody sees it any more, so nobody waits while its files are removed.
        await _patiently(connection, f"drop table {month.name}")
    return gone


async def _patiently(connection: Any, statement: str) -> None:
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = '{LOCK_MS}ms'")
                await connection.execute(statement)
        except asyncpg.LockNotAvailableError:
            if attempt == ATTEMPTS_MAX:
                raise
            await asyncio.sleep(_BETWEEN_S)
        else:
            return


def _back(now: datetime, months: int) -> datetime:
    whole = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1 - months
    return datetime(whole // 12, whole % 12 + 1, 1, tzinfo=UTC)


def _span(name: str) -> tuple[datetime, datetime]:
    year, month = int(name[-7:-3]), int(name[-2:])
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
