"""Restore a logical backup: into a new server of our own, or into an empty database of somebody else's server.

Everything is proven before anything is written. Each table's rows are counted afterwards against what was counted in the
snapshot. Of PostgreSQL's roles only those two that rights and policies name are made; passwords are no part of a dump.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from bursar.backups.catalogue import Backup
from bursar.backups.dumping import TABLES, feed
from bursar.backups.envelope import BackupDamaged
from bursar.backups.planning import Plan, prove
from bursar.backups.source import connected
from bursar.backups.taking import Tell
from bursar.backups.tools import start
from bursar.backups.vault import Vault
from bursar.kernel import roles
from bursar.kernel.errors import Conflict
from bursar.kernel.postgres import Tools

SESSION: Final = {
    "application_name": "bursar-restore",
    "statement_timeout": "15min",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
}
TENANTS: Final = (
    "select distinct tenant_id from gateway_account where is_active and api_key is not null order by tenant_id"
)
_IS_TAKEN: Final = """
select min(n.nspname || '.' || c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'S') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
"""


class DatabaseTaken(Conflict):
    """There is something in the database that shall be restored into."""

    code = "database_taken"


class RestoreIncomplete(Conflict):
    """The recovered database lacks what the backup or the log said it would have."""

    code = "restore_incomplete"


@dataclass(frozen=True, slots=True)
class Loaded:
    """mark, at: of the newest mark in it, the recovery point. tenants: those who have a gateway account that can be asked."""

    mark: int
    at: datetime
    tenants: Sequence[UUID]
    secret_key: str
    took_s: float


def load_into_url(vault: Vault, planned: Plan, *, url: str, tools: Tools, tell: Tell) -> Loaded:
    """Restore into an empty database, whose owner the address logs in as. One that fails leaves it empty.

    Raises: DatabaseTaken, BackupDamaged, BackupObjectMissing, BackupKeyUnknown, RestoreIncomplete, RolesMissing.
    """
    began = time.monotonic()
    asyncio.run(_refuse_taken(url))
    tell("proving the backup")
    prove(vault, planned)
    tell("loading")
    found = load(vault, planned.newest, url, tools)
    return Loaded(*found, str(vault.said(planned.newest.instance)["secret_key"]), time.monotonic() - began)


def load(vault: Vault, backup: Backup, url: str, tools: Tools) -> tuple[int, datetime, Sequence[UUID]]:
    """Load a dump in one transaction, and count every row again. Return mark, its time, and tenants. Raises as above."""
    asyncio.run(_make_roles(url))
    call = tools.call(
        "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", url=url, application="bursar_restore"
    )
    with tempfile.TemporaryFile() as complaints:
        with (
            vault.open(backup.dump) as opened,
            start(call, given=subprocess.PIPE, output=subprocess.DEVNULL, complaints=complaints) as program,
        ):
            feed(program, opened.content())
            code = program.wait()
        complaints.seek(0)
        said = complaints.read(2000).decode(errors="replace").strip()
    if code:
        raise BackupDamaged(f"pg_restore does not load {backup.dump}: {said[-600:]}")
    return asyncio.run(_look(url, backup))


async def _refuse_taken(url: str) -> None:
    raw = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    try:
        if taken := await raw.fetchval(_IS_TAKEN):
            raise DatabaseTaken(f"the database holds {taken} already", hint="Restore into a new, empty database.")
    finally:
        await raw.close(timeout=5)


async def _make_roles(url: str) -> None:
    """Let there be the roles that rights are given to: they belong to the server and are in no dump."""
    raw = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    try:
        await roles.ensure(raw, login=await raw.fetchval("select session_user"))
    finally:
        await raw.close(timeout=5)


async def _look(url: str, backup: Backup) -> tuple[int, datetime, Sequence[UUID]]:
    """Judge what was loaded. Raises: RestoreIncomplete."""
    async with connected(url) as connection:
        mark, at = await connection.mark()
    raw = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    try:
        # The owner is bound by row-level security and sees nothing: what was loaded is then counted by the loading itself.
        sees = await raw.fetchval("select rolsuper or rolbypassrls from pg_roles where rolname = current_user")
        if sees:
            _refuse_lacking(backup, await _rows(raw))
        tenants = [row["tenant_id"] for row in await raw.fetch(TENANTS)]
    finally:
        await raw.close(timeout=5)
    if mark != backup.mark:
        raise RestoreIncomplete(
            f"the database has the mark {mark} and should have {backup.mark}", hint="Use another backup."
        )
    return mark, at, tenants


async def _rows(raw: Any) -> dict[str, int]:
    return {row["name"]: row["rows"] for row in await raw.fetch(await raw.fetchval(TABLES))}


def _refuse_lacking(backup: Backup, found: dict[str, int]) -> None:
    for table, rows in sorted(backup.rows.items()):
        if found.get(table) != rows:
            raise RestoreIncomplete(
                f"the database has {found.get(table)} rows of {table} and should have {rows}",
                hint="Use another backup.",
            )
