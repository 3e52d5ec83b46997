"""The schema's history: dated SQL files, each applied once, in order, under a lock.

`YYYYMMDDHHMM_name.up.sql` and, beside it, `.down.sql`. A file runs in one transaction together with the row that
records it. A file whose first line is `-- no-transaction` holds one statement (`create index concurrently …`) that
may be run again after a crash. An applied file never changes; its checksum is kept.

Lock waits are short (5 s): a migration that waits for a lock makes everybody queue behind it.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg

from bursar.kernel import roles
from bursar.kernel.db import ENGINE_ROLE, TENANT_ROLE, DatabaseUnavailable
from bursar.kernel.errors import Conflict, Unavailable

DIRECTORY = Path(str(files("bursar") / "migrations"))

Hook = Callable[[Any], Awaitable[object]]
"""Called with the administrator's connection after the last migration, inside the lock."""

_NAME = re.compile(r"(?P<version>\d{12})_(?P<name>[a-z0-9_]+)\.up\.sql")
_NO_TRANSACTION = "-- no-transaction"
_LOCK = 0x62757273  # "burs": one number of our own among the database's advisory locks
_POSTGRES_MIN = 150_000

_TIMEOUTS = {"lock_timeout": "5s", "statement_timeout": "15min", "idle_in_transaction_session_timeout": "5min"}

_TABLE = f"""
create table if not exists bursar_migration (
  version text primary key,
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default clock_timestamp()
);
grant select on bursar_migration to {TENANT_ROLE}, {ENGINE_ROLE};
"""
_APPLIED = "select version, sha256 from bursar_migration order by version"
_HAS_TABLE = "select to_regclass('bursar_migration') is not null"
_RECORD = "insert into bursar_migration (version, name, sha256) values ($1, $2, $3)"
_FORGET = "delete from bursar_migration where version = $1"


class SchemaNewer(Conflict):
    """The database was migrated by a newer Bursar than this one."""

    code = "schema_newer"


class SchemaOlder(Conflict):
    """The database lacks migrations that this Bursar needs."""

    code = "schema_older"


class MigrationChanged(Conflict):
    """A migration was edited after it had been applied."""

    code = "migration_changed"


class MigrationFailed(Conflict):
    """A migration was refused by PostgreSQL. Nothing of it remains, unless it is a `no-transaction` one."""

    code = "migration_failed"


class MigrationBusy(Unavailable):
    """Another process is migrating this database."""

    code = "migration_busy"


class PostgresTooOld(Conflict):
    """The server is older than PostgreSQL 15."""

    code = "postgres_too_old"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `undo` is None where there is no way back."""

    version: str
    name: str
    text: str
    undo: str | None

    @property
    def sha256(self) -> str:
        return _sha256(self.text)

    @property
    def is_one_transaction(self) -> bool:
        return not self.text.startswith(_NO_TRANSACTION)

    def __str__(self) -> str:
        return f"{self.version}_{self.name}"


@cache
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did: the names of the migrations it applied (or undid), and the version reached."""

    changed: tuple[str, ...]
    version: str


def migrations_in(directory: Path = DIRECTORY) -> tuple[Migration, ...]:
    """Return the migrations of a directory, oldest first."""
    found = []
    for path in sorted(directory.glob("*.up.sql")):
        match = _NAME.fullmatch(path.name)
        assert match, f"{path} is not named YYYYMMDDHHMM_name.up.sql"
        down = path.with_name(path.name.removesuffix(".up.sql") + ".down.sql")
        undo = down.read_text(encoding="utf-8") if down.exists() else None
        found.append(Migration(match["version"], match["name"], path.read_text(encoding="utf-8"), undo))
    assert len({migration.version for migration in found}) == len(found), "two migrations share a version"
    return tuple(found)


async def migrate(
    admin_url: str, *, login: str = "", directory: Path = DIRECTORY, hooks: Sequence[Hook] = (), wait_s: float = 60
) -> Migrated:
    """Bring the database to this version's schema. Does nothing where it is there already.

    login: the role that API and workers connect as; empty means the one of `admin_url`.
    Raises: SchemaNewer, MigrationChanged, MigrationFailed, MigrationBusy, RolesMissing, PostgresTooOld,
    DatabaseUnavailable.
    """
    known = migrations_in(directory)
    async with _session(admin_url, wait_s=wait_s) as connection:
        await roles.ensure(connection, login=login or await connection.fetchval("select session_user"))
        await connection.execute(_TABLE)
        todo = _pending(known, await connection.fetch(_APPLIED))
        for migration in todo:
            await _run(
                connection, migration, migration.text, (_RECORD, migration.version, migration.name, migration.sha256)
            )
        for hook in hooks:
            await hook(connection)
    return Migrated(tuple(map(str, todo)), known[-1].version if known else "")


async def undo(admin_url: str, *, to: str, directory: Path = DIRECTORY, wait_s: float = 60) -> Migrated:
    """Take back every migration newer than version `to`, newest first; `to=""` takes back all.

    Raises: as `migrate`; MigrationFailed also where there is no way back.
    """
    known = migrations_in(directory)
    async with _session(admin_url, wait_s=wait_s) as connection:
        rows = await connection.fetch(_APPLIED) if await connection.fetchval(_HAS_TABLE) else []
        _pending(known, rows)
        applied = {row["version"] for row in rows}
        going = [migration for migration in reversed(known) if migration.version in applied and migration.version > to]
        for migration in going:
            if migration.undo is None:
                raise MigrationFailed(f"migration {migration} has no way back", hint="Restore a backup instead.")
            await _run(connection, migration, migration.undo, (_FORGET, migration.version))
    return Migrated(tuple(map(str, going)), to)


async def pending(connection: Any, *, directory: Path = DIRECTORY) -> list[Migration]:
    """Return what is still to be applied. Raises: SchemaNewer, MigrationChanged."""
    rows = await connection.fetch(_APPLIED) if await connection.fetchval(_HAS_TABLE) else []
    return _pending(_shipped() if directory == DIRECTORY else migrations_in(directory), rows)


@cache
def _shipped() -> tuple[Migration, ...]:
    """Return the migrations that this process came with. Health asks every few seconds; they do not change while it runs."""
    return migrations_in()


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Any]:
    """Lend a connection that can change nothing. Raises: DatabaseUnavailable."""
    connection = await _connect(url)
    try:
        async with connection.transaction(readonly=True):
            yield connection
    finally:
        await connection.close(timeout=10)


async def require_current(connection: Any, *, directory: Path = DIRECTORY) -> None:
    """Refuse a database whose schema is not this version's. Raises: SchemaNewer, SchemaOlder, MigrationChanged."""
    lacking = await pending(connection, directory=directory)
    if lacking:
        raise SchemaOlder(
            f"the database lacks {len(lacking)} migrations, first {lacking[0]}", hint="Run bursar migrate."
        )


async def login_of(url: str) -> str:
    """Return the role that an address logs in as. Raises: DatabaseUnavailable."""
    connection = await _connect(url)
    try:
        return str(await connection.fetchval("select session_user"))
    finally:
        await connection.close(timeout=10)


async def _connect(url: str) -> Any:
    settings = {**_TIMEOUTS, "application_name": "bursar-migrate"}
    try:
        return await asyncpg.connect(url, timeout=30, server_settings=settings)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer: {error}", hint="Check the address and the password."
        ) from error


@asynccontextmanager
async def _session(url: str, *, wait_s: float) -> AsyncIterator[Any]:
    """Hold the only migrating connection of this database."""
    connection = await _connect(url)
    try:
        number = int(await connection.fetchval("select current_setting('server_version_num')"))
        if number < _POSTGRES_MIN:
            raise PostgresTooOld(f"this is PostgreSQL {number // 10_000}", hint="Bursar needs PostgreSQL 15 or newer.")
        await _take_lock(connection, wait_s)
        yield connection
    finally:
        await connection.close(timeout=10)


async def _take_lock(connection: Any, wait_s: float) -> None:
    """Ask again and again rather than wait inside the server, where a waiting session holds up index builds."""
    deadline = time.monotonic() + wait_s
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        if time.monotonic() >= deadline:
            raise MigrationBusy("another process is migrating this database", hint="Wait until it has finished.")
        await asyncio.sleep(0.05)


def _pending(known: tuple[Migration, ...], rows: Sequence[Any]) -> list[Migration]:
    """Return what is still to be applied. Raises: SchemaNewer, MigrationChanged."""
    applied = {row["version"]: row["sha256"] for row in rows}
    unknown = sorted(applied.keys() - {migration.version for migration in known})
    if unknown:
        raise SchemaNewer(
            f"this database was migrated by a newer Bursar (migration {unknown[-1]})",
            hint="Run the newer version, or restore a backup made before it.",
        )
    for migration in known:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise MigrationChanged(
                f"migration {migration} was edited after it had been applied",
                hint="Undo the edit, and write a new migration instead.",
            )
    return [migration for migration in known if migration.version not in applied]


async def _run(connection: Any, migration: Migration, text: str, record: tuple[str, ...]) -> None:
    """Run one file and write down that it ran, in one transaction where the file allows it."""
    try:
        if text.startswith(_NO_TRANSACTION):
            await connection.fetch(text)  # the extended protocol takes one statement and opens no transaction
            await connection.execute(*record)
            return
        async with connection.transaction():
            await connection.execute(text)
            await connection.execute(*record)
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"migration {migration} was refused: {error}") from error
