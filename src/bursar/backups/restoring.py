"""Restore: prove everything first, put the files together, let PostgreSQL recover to the point, look for the mark."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from bursar.backups.catalogue import Backup
from bursar.backups.loading import SESSION, TENANTS, RestoreIncomplete, load
from bursar.backups.planning import Plan, prove
from bursar.backups.proving import unpack_base
from bursar.backups.source import connected
from bursar.backups.spool import Spooled, add_to, target_of
from bursar.backups.taking import Tell
from bursar.backups.tools import run
from bursar.backups.vault import Vault
from bursar.kernel.files import write_private
from bursar.kernel.postgres import APP_ROLE, Recovery, Tools, new_cluster

_Found = tuple[int, datetime, Sequence[UUID]]

_RECOVERY_S = 6 * 3600


@dataclass(frozen=True, slots=True)
class Restored:
    """directory: the instance's. data: PostgreSQL's own. mark, at: the newest mark in it, the recovery point that was achieved.

    tenants: those who have a gateway account, whose gateways may know of money since that point.
    """

    directory: Path
    data: Path
    mark: int
    at: datetime
    tenants: Sequence[UUID]
    took_s: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A recovered database. url: its superuser's address. app_url: the application's. secret_key: of the installation it is of."""

    url: str
    app_url: str
    secret_key: str
    backup: Backup


Look = Callable[[Scene], Awaitable[None]]
"""Looks at a recovered database before its server is stopped."""


async def look_at_nothing(_: Scene) -> None:
    """Look at nothing more."""


def restore(
    vault: Vault,
    planned: Plan,
    *,
    into: Path,
    tools: Tools,
    tell: Tell,
    look: Look = look_at_nothing,
    beyond: Spooled | None = None,
) -> Restored:
    """Restore into an empty directory, which `bursar up --data` can then use. One that fails leaves it empty.

    look: looks at the recovered database before it is stopped. beyond: the log after the plan's last mark.
    Raises: DirectoryTaken, BackupDamaged, BackupObjectMissing, BackupKeyUnknown, ServerFailed, RestoreIncomplete.
    """
    if planned.is_logical:
        return _load(vault, planned, into, tools, tell=tell, look=look)
    began = time.monotonic()
    recovery = Recovery(into, bin_dir=tools.bin_dir)
    recovery.refuse_taken()
    tell(f"proving {len(planned.chain)} backups and {len(planned.pieces)} segments of the log")
    prove(vault, planned)
    try:
        files = recovery.begin()
        tell("unpacking")
        _assemble(vault, planned.chain, files, tools)
        _add_log(vault, planned, files)
        if beyond:
            add_to(files / "pg_wal", beyond, segment_bytes=planned.newest.segment_bytes)
            planned = replace(planned, settings=target_of(files / "pg_wal", beyond, planned, tools), is_exact=False)
        tell(f"recovering to {planned.point}{', and to the end of the spool' if beyond else ''}")
        secret_key = vault.said(planned.newest.instance)["secret_key"]
        found: list[_Found] = []

        async def judge(url: str) -> None:
            found.append(await _look(url, planned, recovery.statements))
            await look(Scene(url, _as_app(url), secret_key, planned.newest))

        recovery.recover(
            planned.settings,
            lambda url: asyncio.run(judge(url)),
            timeout_s=_RECOVERY_S,
            said=tell,
        )
        if secret_key:
            write_private(recovery.directory / "secret.key", f"{secret_key}\n")
    except BaseException:
        recovery.undo()
        raise
    return Restored(recovery.directory, recovery.data, *found[0], time.monotonic() - began)


def _load(vault: Vault, planned: Plan, into: Path, tools: Tools, *, tell: Tell, look: Look) -> Restored:
    """Restore a logical backup into a server of our own."""
    began = time.monotonic()
    Recovery(into).refuse_taken()
    tell("proving the logical backup")
    prove(vault, planned)
    with new_cluster(into, bin_dir=tools.bin_dir) as cluster:
        tell(f"loading {planned.point}")
        found = load(vault, planned.newest, cluster.admin_url, tools)
        secret_key = vault.said(planned.newest.instance)["secret_key"]
        asyncio.run(_make_ours(Scene(cluster.admin_url, cluster.app_url, secret_key, planned.newest), look))
        if secret_key:
            write_private(cluster.directory / "secret.key", f"{secret_key}\n")
    return Restored(cluster.directory, cluster.data, *found, time.monotonic() - began)


async def _make_ours(scene: Scene, look: Look) -> None:
    """Write down that no backups of this server are made yet: those of the one it was dumped from are not of this one."""
    async with connected(scene.url) as connection:
        await connection.want(is_wanted=False)
        await connection.be_logical(is_logical=False)
    await look(scene)


def _as_app(url: str) -> str:
    """Return an address for the role that owns nothing, of a server that asks for no password."""
    return urlsplit(url)._replace(netloc=f"{APP_ROLE}@").geturl()


async def _look(url: str, planned: Plan, statements: list[str]) -> _Found:
    """Judge the recovered database, and make it ours."""
    async with connected(url) as connection:
        mark, at = await connection.mark()
        if mark < planned.mark or (planned.is_exact and mark != planned.mark):
            raise RestoreIncomplete(
                f"the database has the mark {mark} and should have {planned.mark}",
                hint="The store is not whole: use another copy of it, or an older backup.",
            )
        # From here on its log is kept for the streaming that begins when the instance runs.
        await connection.add_slot()
    raw = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    try:
        for statement in statements:
            await raw.execute(statement)
        tenants = [row["tenant_id"] for row in await raw.fetch(TENANTS)]
    finally:
        await raw.close()
    return mark, at, tenants


def _assemble(vault: Vault, chain: Sequence[Backup], files: Path, tools: Tools) -> None:
    if len(chain) == 1:
        unpack_base(vault, chain[0].base, files)
        # Each file was held against the manifest as it was written; what is combined below was not.
        run(tools, "pg_verifybackup", "--exit-on-error", "--quiet", "--skip-checksums", str(files))
        return
    parts = files.with_name("restore-parts")
    try:
        for number, backup in enumerate(chain):
            part = parts / str(number)
            part.mkdir(parents=True, mode=0o700)
            unpack_base(vault, backup.base, part)
        places = [str(parts / str(number)) for number in range(len(chain))]
        run(tools, "pg_combinebackup", "--output", str(files), *places)
        run(tools, "pg_verifybackup", "--exit-on-error", "--quiet", str(files))
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _add_log(vault: Vault, planned: Plan, files: Path) -> None:
    log = files / "pg_wal"
    for piece in planned.pieces:
        path = log / piece.segment
        with vault.open(piece.object) as opened, path.open("wb") as file:
            for part in opened.content():
                file.write(part)
            # The newest one is not full yet. PostgreSQL reads it to its last record.
            file.truncate(planned.newest.segment_bytes)
        path.chmod(0o600)
    for name in planned.histories:
        (log / f"{name.split('/')[1]}.history").write_bytes(vault.whole(name))
