"""Take a logical backup: what the database says it holds, where its files may not be had. `pg_dump`, sealed on the way.

For servers of others that give nobody the right to replicate. It holds what was committed at one instant, and nothing
in between two of them can be restored. Counts are taken in the snapshot that is dumped, and what was written is read
again and counted against them before it is listed. Decision 0601.
"""

import asyncio
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import asyncpg

from bursar.backups.catalogue import Backup, enter, kept_facts, object_of, strike, strike_unfinished
from bursar.backups.envelope import BackupDamaged
from bursar.backups.proving import prove_kept
from bursar.backups.source import SESSION, Source, connected
from bursar.backups.taking import BackupFailed, Place, program_output
from bursar.backups.tools import start
from bursar.backups.vault import Vault
from bursar.kernel.errors import DomainError, Forbidden
from bursar.kernel.postgres import Tools

_SNAPSHOT_S: Final = 6 * 3600
"""A dump may last so long; its snapshot keeps dead rows from being removed for as long."""

_RIGHTS: Final = """
select r.rolsuper or r.rolbypassrls as sees_all_rows, pg_database_size(current_database())::bigint as bytes, current_database() as database
from pg_roles r where r.rolname = current_user
"""
TABLES: Final = """
select string_agg(format('select %L as name, count(*) as rows from %I.%I', format('%I.%I', n.nspname, c.relname), n.nspname, c.relname), ' union all ')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
"""
_UNREADABLE: Final = """
select min(format('%I.%I', n.nspname, c.relname)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and not has_table_privilege(c.oid, 'select')
"""

ROLE_HINT: Final = (
    "Let an administrator run: create role bursar_backup login bypassrls password '…' in role pg_read_all_data; "
    "and set BURSAR_BACKUP_DATABASE_URL to that login."
)


class BackupRoleBound(Forbidden):
    """The role that shall dump does not see every row of every table."""

    code = "backup_role_bound"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of a database. rows: of every table in it. figures: as `Place.count` counts them. bytes: of its files."""

    name: str
    rows: dict[str, int]
    figures: dict[str, Any]
    mark: int
    bytes: int


async def dump(place: Place) -> Backup:
    """Take one logical backup. Nothing waits for it and it waits for nobody, except for changes of the schema.

    Raises: BackupFailed, BackupRoleBound, BackupUnderWay, BackupStoreOfAnother, BackupStoreFailed, BackupDamaged.
    """
    async with connected(place.url) as connection, connection.alone():
        source = await connection.source()
        name = await _database(place)
        await asyncio.to_thread(place.vault.belongs_to, f"{source.system}/{name}", may_claim=True)
        await asyncio.to_thread(strike_unfinished, place.vault)
        await connection.be_logical(is_logical=True)
        await connection.touch_mark()
        async with _seen(place) as snapshot:
            backup = await asyncio.to_thread(_write, place, source, f"{source.system}/{name}", snapshot)
        ended = (await connection.source()).now
        finished = replace(backup, ended_at=ended.isoformat())
        await asyncio.to_thread(enter, place.vault, finished)
        await connection.backed_up(finished.ended)
        return finished


def rows_written(vault: Vault, name: str, tools: Tools) -> dict[str, int]:
    """Read a dump to its end with PostgreSQL's own program, and count the rows of every table in it. Raises: BackupDamaged."""
    call = tools.call("pg_restore", "--data-only", "--file=-")
    found: dict[str, int] = {}
    with vault.open(name) as opened, tempfile.TemporaryFile() as complaints:
        with start(call, given=subprocess.PIPE, output=subprocess.PIPE, complaints=complaints) as program:
            assert program.stdout is not None
            feeding = threading.Thread(target=feed, args=(program, opened.content()))
            feeding.start()
            table = ""
            for line in program.stdout:
                if not table and line.startswith(b"COPY "):
                    table = line[5:].partition(b" (")[0].decode()
                    found[table] = 0
                elif table and line == b"\\.\n":
                    table = ""
                elif table:
                    found[table] += 1
            feeding.join()
            code = program.wait()
        if code or table:
            complaints.seek(0)
            raise BackupDamaged(
                f"pg_restore cannot read {name}: {complaints.read(600).decode(errors='replace').strip()}"
            )
    return found


def feed(program: "subprocess.Popen[bytes]", pieces: Iterable[bytes]) -> None:
    """Give a program what it reads. One that ended early says itself why."""
    assert program.stdin is not None
    try:
        for piece in pieces:
            program.stdin.write(piece)
    except (BrokenPipeError, DomainError):
        # What was not whole makes the program fail, and is proven and named beforehand.
        pass
    finally:
        with suppress(BrokenPipeError):
            program.stdin.close()


async def _database(place: Place) -> str:
    """Return the database's name. Raises: BackupRoleBound, where not everything can be read."""
    async with _reading(place) as raw:
        rights = await raw.fetchrow(_RIGHTS)
        if not rights["sees_all_rows"]:
            raise BackupRoleBound(
                "the role that shall dump is bound by row-level security, so the backup would lack rows", hint=ROLE_HINT
            )
        if lacking := await raw.fetchval(_UNREADABLE):
            raise BackupRoleBound(f"the role that shall dump may not read {lacking}", hint=ROLE_HINT)
        return str(rights["database"])


@asynccontextmanager
async def _seen(place: Place) -> AsyncIterator[Snapshot]:
    """Hold one instant for as long as the block lasts, and count what is in it."""
    async with _reading(place) as raw, raw.transaction(isolation="repeatable_read", readonly=True):
        name = await raw.fetchval("select pg_export_snapshot()")
        counted = {row["name"]: row["rows"] for row in await raw.fetch(await raw.fetchval(TABLES))}
        yield Snapshot(
            name,
            counted,
            await place.count_in(raw),
            await raw.fetchval("select number from backup_canary"),
            (await raw.fetchrow(_RIGHTS))["bytes"],
        )


@asynccontextmanager
async def _reading(place: Place) -> AsyncIterator[Any]:
    session = SESSION | {"statement_timeout": "30min", "idle_in_transaction_session_timeout": f"{_SNAPSHOT_S}s"}
    raw = await asyncpg.connect(place.reading_url, timeout=10, server_settings=session)
    try:
        yield raw
    finally:
        await asyncio.shield(raw.close(timeout=5))


def _write(place: Place, source: Source, system: str, snapshot: Snapshot) -> Backup:
    """Write the objects, read them again, count their rows. One that fails leaves nothing behind."""
    name = f"{source.now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-logical"
    vault = place.vault
    try:
        dumped = vault.put(object_of(name, "dump"), {"backup": name}, _dumped(place, snapshot))
        written = rows_written(vault, dumped.name, place.tools)
        _refuse_differing(dumped.name, snapshot.rows, written)
        instance = vault.put(object_of(name, "instance"), {"secret_key": place.secret_key})
        backup = Backup(
            id=name,
            kind="logical",
            parent=None,
            began_at=source.now.isoformat(),
            ended_at=source.now.isoformat(),
            system=system,
            version=source.version,
            timeline=0,
            start_lsn=0,
            end_lsn=0,
            segment_bytes=0,
            mark=snapshot.mark,
            is_streaming=False,
            plain_bytes=snapshot.bytes,
            objects=kept_facts(dumped, instance),
            figures=snapshot.figures,
            rows=snapshot.rows,
        )
        prove_kept(vault, backup)
    except BaseException:
        with suppress(DomainError):
            strike(vault, name)
        raise
    return backup


def _dumped(place: Place, snapshot: Snapshot) -> Iterator[bytes]:
    """Give the bytes of `pg_dump`, not compressed: that is done on the way, together with the sealing."""
    with tempfile.TemporaryDirectory(prefix="bursar-backup-") as scratch:
        call = place.tools.call(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            f"--snapshot={snapshot.name}",
            "--lock-wait-timeout=60s",
            "--no-comments",
            url=place.reading_url,
            application="bursar_dump",
        )
        yield from program_output(call, Path(scratch) / "said", program="pg_dump", hint=_HINT)


_HINT: Final = (
    "Its programs must not be older than the server: set BURSAR_POSTGRES_BIN to a bin directory of that version. "
    "See also PostgreSQL's log."
)


def _refuse_differing(name: str, counted: dict[str, int], written: dict[str, int]) -> None:
    differing = sorted(table for table in {*counted, *written} if counted.get(table) != written.get(table))
    if differing:
        table = differing[0]
        raise BackupFailed(
            f"{name} holds {written.get(table)} rows of {table}, the database had {counted.get(table)}",
            hint="Was the schema changed meanwhile? Take another one: bursar backup now",
        )
