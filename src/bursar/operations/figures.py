"""Figures of an installation that can be counted again: rows that are never changed, and the money in them.

They are taken with a backup, while everything goes on, and counted again in the restored database, which may be
younger. So only what was written before one instant counts, by the database's clock, and the instant lies before
every transaction that was open then: what has that time is there, and nothing with that time comes later.
"""

from datetime import datetime
from typing import Any, Final

import asyncpg

_SESSION: Final = {
    "application_name": "bursar-figures",
    "statement_timeout": "30min",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
    "jit": "off",
}
_NOW: Final = "select clock_timestamp()"
# Asked after the time: a transaction that begins in between is later than that.
_OPEN: Final = """
select min(xact_start) from pg_stat_activity
where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
"""

_ROWS: Final = """
select 'tenant' as name, count(*) as rows from tenant where created_at < $1
union all select 'gateway_account', count(*) from gateway_account where created_at < $1
union all select 'audit_record', count(*) from audit_record where at < $1
union all select 'ledger_transaction', count(*) from ledger_transaction where created_at < $1
"""

# The sum of hashes does not depend on the order, so nothing is sorted.
_MONEY: Final = """
select e.currency, count(*) as entries, coalesce(sum(e.amount_minor) filter (where e.amount_minor > 0), 0)::text as debited_minor,
  sum(e.amount_minor)::text as balance_minor,
  sum(hashtextextended(concat_ws(' ', e.tenant_id, e.transaction_id, t.source_kind, t.source_ref, e.account, e.currency, e.amount_minor), 0)::numeric)::text
    as fingerprint
from ledger_entry e join ledger_transaction t on t.tenant_id = e.tenant_id and t.id = e.transaction_id
where t.created_at < $1 group by e.currency order by e.currency
"""


async def count(url: str, *, until: datetime | None = None) -> dict[str, Any]:
    """Count, as the superuser. until: the instant of earlier figures; None: take one now.

    Raises OSError, asyncpg.PostgresError.
    """
    connection = await asyncpg.connect(url, timeout=10, server_settings=_SESSION)
    try:
        return await _counted(connection, until or await _cut(connection))
    finally:
        await connection.close(timeout=5)


async def count_in(tx: Any) -> dict[str, Any]:
    """Count what an open transaction sees, which is one instant and will be restored as it is."""
    return await _counted(tx, await tx.fetchval(_NOW))


async def _counted(connection: Any, cut: datetime) -> dict[str, Any]:
    rows = {row["name"]: row["rows"] for row in await connection.fetch(_ROWS, cut)}
    money = {row["currency"]: dict(row) for row in await connection.fetch(_MONEY, cut)}
    return {"until": cut.isoformat(), "rows": rows, "money": money}


async def _cut(connection: Any) -> datetime:
    now: datetime = await connection.fetchval(_NOW)
    began: datetime | None = await connection.fetchval(_OPEN)
    return min(now, began) if began else now


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return in words what differs between two counts. Pure."""
    found = []
    for name in ("rows", "money"):
        was, is_now = before[name], after[name]
        found += [
            f"{key}: {was.get(key)} before, {is_now.get(key)} now"
            for key in sorted({*was, *is_now})
            if was.get(key) != is_now.get(key)
        ]
    return found
