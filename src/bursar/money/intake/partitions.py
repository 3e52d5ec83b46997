"""Partitions of the raw bodies, a month each, made ahead of time; what falls outside them goes to the default one.

Each partition is closed to direct access: row-level security is enabled and forced on it as on its parent, and
nobody is granted anything on it.
"""

from datetime import UTC, datetime
from typing import Any

AHEAD_MONTHS = 14

_EXISTS = "select to_regclass($1) is not null"


async def ensure_partitions(connection: Any, *, now: datetime | None = None) -> list[str]:
    """Make the partitions of this month and the next fourteen; return the names of those that were missing.

    connection: of the role that owns the tables. Called by every migration, so by every `bursar up`.
    """
    made = []
    first = (now or datetime.now(UTC)).astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(AHEAD_MONTHS + 1):
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        name = name_of(first)
        if not await connection.fetchval(_EXISTS, name) and await _has_room(connection, first, after):
            await _make(connection, name, first, after)
            made.append(name)
        first = after
    return made


def name_of(month: datetime) -> str:
    """Return the name of a month's partition."""
    return f"gateway_event_body_{month:%Y_%m}"


async def _has_room(connection: Any, first: datetime, after: datetime) -> bool:
    """False when the default partition already holds rows of the month: they stay there, and are found there."""
    query = "select exists (select 1 from gateway_event_body_default where received_at >= $1 and received_at < $2)"
    return not await connection.fetchval(query, first, after)


async def _make(connection: Any, name: str, first: datetime, after: datetime) -> None:
    async with connection.transaction():
        await connection.execute(
            f"create table {name} partition of gateway_event_body for values from ('{first.isoformat()}') to ('{after.isoformat()}')"
        )
        await connection.execute(f"alter table {name} set (toast_tuple_target = 8160)")
        await connection.execute(f"alter table {name} enable row level security")
        await connection.execute(f"alter table {name} force row level security")
