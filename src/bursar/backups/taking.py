"""Take a base backup: the server's own `pg_basebackup`, sealed on the way, read again, proven, and only then listed."""

import asyncio
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from bursar.backups.catalogue import (
    Backup,
    Catalogue,
    Kind,
    enter,
    kept_facts,
    list_backups,
    object_of,
    strike,
    strike_unfinished,
)
from bursar.backups.proving import log_range, prove_base, prove_kept
from bursar.backups.source import INCREMENTAL_SINCE, Connection, Source, connected
from bursar.backups.tools import start
from bursar.backups.vault import Vault
from bursar.backups.wal import lsn_of, tail_object
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.postgres import Tools
from bursar.kernel.postgres.tools import Call

_PIECE = 1024 * 1024


class BackupFailed(Unavailable):
    """PostgreSQL's program did not make the backup. The message is what it said."""

    code = "backup_failed"


Count = Callable[[str], Awaitable[dict[str, Any]]]
"""Counts in a database, by its superuser's address, what must be found again in one that is restored from it."""

CountIn = Callable[[Any], Awaitable[dict[str, Any]]]
"""Counts the same within an open transaction."""


async def count_nothing(_: Any) -> dict[str, Any]:
    """Count nothing."""
    return {}


@dataclass(frozen=True, slots=True)
class Place:
    """What a backup is made of. url: the superuser's. secret_key: kept with it, without which secrets in the database are lost.

    dump_url: of the role that dumps, for logical backups; empty: as `url`, which then is the owner's.
    """

    url: str
    tools: Tools
    vault: Vault
    secret_key: str
    count: Count = count_nothing
    dump_url: str = ""
    count_in: CountIn = count_nothing

    @property
    def reading_url(self) -> str:
        return self.dump_url or self.url


async def take(place: Place, kind: Kind) -> Backup:
    """Take one backup. An incremental one builds on the newest of the same timeline.

    Raises: BackupFailed, BackupUnderWay, NoSlotFree, BackupStoreOfAnother, BackupStoreFailed, BackupDamaged.
    """
    async with connected(place.url) as connection, connection.alone(), connection.keeping_log():
        source = await connection.source()
        await connection.summarise(source.number)
        await connection.be_logical(is_logical=False)
        await asyncio.to_thread(place.vault.belongs_to, source.system, may_claim=True)
        await asyncio.to_thread(strike_unfinished, place.vault)
        parent = await asyncio.to_thread(_parent, place.vault, source) if kind == "incremental" else None
        figures = await place.count(place.url)
        backup = replace(await asyncio.to_thread(_take, place, source, parent), figures=figures)
        finished = await _finished(place, connection, backup)
        await connection.backed_up(finished.ended)
        return finished


def _parent(vault: Vault, source: Source) -> Backup:
    if source.number < INCREMENTAL_SINCE:
        raise BackupFailed(f"PostgreSQL {source.version} makes no incremental backups", hint="Take a full one.")
    catalogue: Catalogue = list_backups(vault)
    found = [backup for backup in catalogue.backups if backup.timeline == source.timeline]
    if not found:
        raise BackupFailed("there is no backup to build on", hint="Take a full one first: bursar backup now")
    catalogue.chain(found[-1])
    return found[-1]


def _take(place: Place, source: Source, parent: Backup | None) -> Backup:
    """Write the objects of a backup and prove them. One that fails leaves nothing behind."""
    kind: Kind = "incremental" if parent else "full"
    name = f"{source.now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{kind}"
    vault = place.vault
    try:
        base = vault.put(object_of(name, "base"), {"backup": name}, _base(place, name, parent))
        read_again = prove_base(vault, base.name)
        timeline, start, end = log_range(read_again.manifest)
        server_manifest = vault.put(object_of(name, "server-manifest"), {"backup": name}, [read_again.manifest])
        instance = vault.put(object_of(name, "instance"), {"secret_key": place.secret_key})
        backup = Backup(
            id=name,
            kind=kind,
            parent=parent.id if parent else None,
            began_at=source.now.isoformat(),
            ended_at=source.now.isoformat(),
            system=source.system,
            version=source.version,
            timeline=timeline,
            start_lsn=lsn_of(start),
            end_lsn=lsn_of(end),
            segment_bytes=source.segment_bytes,
            mark=source.mark,
            is_streaming=vault.has(tail_object(timeline)),
            plain_bytes=read_again.plain_bytes,
            objects=kept_facts(base, server_manifest, instance),
        )
        prove_kept(vault, backup, read_again)
    except BaseException:
        with suppress(DomainError):
            # What broke it off is to be named, not that a store which is away cannot be tidied. The next one tidies.
            strike(vault, name)
        raise
    return backup


async def _finished(place: Place, connection: Connection, backup: Backup) -> Backup:
    """List a backup. It ended at the latest now, by the database's clock."""
    ended = (await connection.source()).now
    finished = replace(backup, ended_at=ended.isoformat())
    await asyncio.to_thread(enter, place.vault, finished)
    return finished


def _base(place: Place, name: str, parent: Backup | None) -> Iterator[bytes]:
    """Give the bytes of `pg_basebackup`: one archive, with the log that makes it consistent and a manifest in it."""
    with tempfile.TemporaryDirectory(prefix="bursar-backup-") as scratch:
        given: tuple[str, ...] = ()
        if parent:
            file = Path(scratch) / "manifest"
            file.write_bytes(place.vault.whole(parent.server_manifest))
            given = (f"--incremental={file}",)
        call = place.tools.call(
            "pg_basebackup",
            "--pgdata=-",
            "--format=tar",
            "--wal-method=fetch",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            f"--label=bursar {name}",
            *given,
            url=place.url,
            application="bursar_base_backup",
        )
        hint = "See bursar doctor, and PostgreSQL's log."
        yield from program_output(call, Path(scratch) / "said", program="pg_basebackup", hint=hint)


def program_output(call: Call, said: Path, *, program: str, hint: str) -> Iterator[bytes]:
    """Give what a program writes. Raises BackupFailed when it fails, before the last piece is taken for the end."""
    with said.open("w+b") as complaints:
        running = start(call, output=subprocess.PIPE, complaints=complaints)
        assert running.stdout is not None
        try:
            yield from iter(lambda: running.stdout.read(_PIECE), b"")  # type: ignore[union-attr]
            code = running.wait()
        finally:
            running.kill()
            running.wait()
            running.stdout.close()
        if code:
            complaints.seek(0)
            text = complaints.read(4000).decode(errors="replace").strip()
            raise BackupFailed(f"{program} failed: {text}", hint=hint)


Tell = Callable[[str], None]


async def take_or_full(place: Place, kind: Kind, tell: Tell) -> Backup:
    """Take a backup of a kind, or a full one where an incremental one cannot be made; tell why."""
    try:
        return await take(place, kind)
    except DomainError as refusal:
        if kind == "full":
            raise
        tell(refusal.message)
        return await take(place, "full")
