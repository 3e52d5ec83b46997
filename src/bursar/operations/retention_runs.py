"""The clean-up that only the owner of the tables can do: months of raw bodies are made ahead, and dropped when their time is over.

Done once a day by `bursar up`, and by `bursar retention --apply`. What it did, or why it could not, is written down, and health tells of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from bursar.kernel import ids
from bursar.kernel.db import DatabaseUnavailable
from bursar.kernel.errors import Unavailable
from bursar.money.intake.forgetting import forget_months
from bursar.money.intake.partitions import ensure_partitions

_SESSION: Final = {
    "application_name": "bursar-retention",
    "statement_timeout": "5min",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
}
_KEPT: Final = 400
_BEGIN: Final = "insert into retention_run (id) values ($1)"
_END: Final = """
update retention_run set ended_at = clock_timestamp(), made = $2, dropped = $3, rows = $4, bytes = $5 where id = $1
"""
_FAIL: Final = "update retention_run set ended_at = clock_timestamp(), failure = $2 where id = $1"
_FORGET: Final = "delete from retention_run where began_at < (select began_at from retention_run order by began_at desc offset $1 limit 1)"
_LAST: Final = """
select began_at, ended_at, made, dropped, rows, bytes, failure from retention_run order by began_at desc limit 1
"""

LATE: Final = timedelta(days=3)
"""It is done once a day: whoever missed it three times does not do it."""
ABANDONED: Final = timedelta(hours=1)
ADVICE: Final = "See what bursar up logs of its retention process. End long transactions (pg_stat_activity), then: bursar retention --apply"
_FAILURE_MAX: Final = 500


class RetentionBlocked(Unavailable):
    """Somebody held the table of raw bodies for longer than we wait."""

    code = "retention_blocked"


@dataclass(frozen=True, slots=True)
class Run:
    """What was done. made, dropped: partitions. rows: as PostgreSQL had estimated them. failure: why it ended early."""

    began_at: datetime
    ended_at: datetime | None
    made: list[str]
    dropped: list[str]
    rows: int
    bytes: int
    failure: str | None


async def apply(admin_url: str, *, kept_months: int, now: datetime) -> Run:
    """Make the coming months and drop those whose time is over. kept_months 0: for ever.

    Raises: DatabaseUnavailable, RetentionBlocked.
    """
    try:
        connection = await asyncpg.connect(admin_url, timeout=10, server_settings=_SESSION)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
    try:
        run_id = ids.new()
        await connection.execute(_BEGIN, run_id)
        try:
            made = await ensure_partitions(connection, now=now)
            gone = await forget_months(connection, kept_months=kept_months, now=now)
        except asyncpg.LockNotAvailableError:
            blocked = RetentionBlocked(
                "the table of raw bodies was in use all the time",
                hint="End long transactions (pg_stat_activity), then: bursar retention --apply",
            )
            await connection.execute(_FAIL, run_id, blocked.message)
            raise blocked from None
        except asyncpg.PostgresError as error:
            await connection.execute(_FAIL, run_id, f"the database refused: {error.args[0]}"[:_FAILURE_MAX])
            raise
        rows, size = sum(month.rows for month in gone), sum(month.bytes for month in gone)
        await connection.execute(_END, run_id, made, [month.name for month in gone], rows, size)
        await connection.execute(_FORGET, _KEPT)
        return Run(**dict(await connection.fetchrow(_LAST)))
    finally:
        await connection.close(timeout=5)


async def last_run(tx: Any) -> Run | None:
    """Return what was done last; None before the first time. tx: as the engine."""
    row = await tx.fetchrow(_LAST)
    return Run(**dict(row)) if row else None


def complaint(last: Run | None, *, now: datetime) -> str:
    """Return what is wrong with the clean-up; empty where nothing is, and before the first time. Pure."""
    if last is None:
        return ""
    if last.failure:
        return f"raw bodies could not be cleaned up: {last.failure}"
    ago = now - last.began_at
    if last.ended_at is None and ago > ABANDONED:
        return "the last clean-up of raw bodies did not come to its end"
    return f"raw bodies were last cleaned up {ago.days} days ago" if ago > LATE else ""
