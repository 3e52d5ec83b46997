"""`bursar tenant export` and `import`: one business in a file, and out of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, Final
from uuid import UUID

import asyncpg
import typer
import zstandard

from bursar import backups
from bursar.cli.acting import ACTOR, TenantText, act, tenant_of
from bursar.cli.backup_store import key_file, tools_of
from bursar.cli.connection import instance, of_cluster, settings_for
from bursar.cli.options import Data, Json, answer, tell
from bursar.cli.supervisor import migrate
from bursar.kernel import audit, ids, migrations
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.files import private_file
from bursar.kernel.postgres import new_cluster
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.operations import archives
from bursar.operations.snapshots import reading

PURPOSE: Final = "archive of a tenant"
_LEVEL: Final = 3


class SecretKeyMissing(Invalid):
    """It is not said which key seals the secrets of the database that is written to."""

    code = "secret_key_missing"


KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File of the keys that seal it (BURSAR_BACKUP_KEY_FILE).")
]
Into = Annotated[
    str | None,
    typer.Option("--into", help="A new directory, which becomes an instance of its own; or a database's address."),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="The other installation is off: gateway accounts and alert channels stay on, and what waits there is done here. Else it is a copy to look at.",
    ),
]


def export(
    tenant: TenantText,
    out: Annotated[Path, typer.Option("--out", help="The file to write; nobody else may read it.")],
    key: KeyFile = None,
    data: Data = None,
    *,
    plain: Annotated[
        bool, typer.Option("--plain", help="Not sealed, and without secrets: to be read elsewhere, not to be imported.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write everything of one tenant, as of one instant. See docs/reference/tenant-archive.md."""
    keys = None if plain else _keys(settings_for(data), key)

    async def exporting(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            changes = {"is_sealed": keys is not None}
            await audit.record(
                tx, tenant_id=tenant_id, actor=ACTOR, action="tenant.exported", subject=tenant, changes=changes
            )
        size = await write_archive(settings, tenant_id, out, keys)
        return {"tenant": tenant, "file": str(out), "bytes": size, "is_sealed": keys is not None}

    told = act(data, exporting)
    sealed = "" if told["is_sealed"] else "; it is NOT sealed and has no secrets"
    answer(told, f"{told['bytes']} bytes of {tenant} written to {out}{sealed}", as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(help="The file that bursar tenant export wrote.")],
    into: Into = None,
    key: KeyFile = None,
    expected: Annotated[str | None, typer.Option("--tenant", help="Refuse an archive of anybody else: ten_…")] = None,
    data: Data = None,
    *,
    takes_over: TakeOver = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read it to its end, and say what is in it.")] = False,
    as_json: Json = False,
) -> None:
    """Take a tenant in, as a whole or not at all. What is not whole is refused before anything is written."""
    settings = settings_for(data)
    opened = opener(file, settings, key)
    tell(f"reading {file} to its end")
    checked = archives.check(opened)
    whose = ids.parse(ids.TENANT, expected) if expected else None
    if dry_run:
        told = {**_told(checked), "is_dry_run": True}
        answer(told, f"{_text(told)}\nit is whole; nothing was written", as_json=as_json)
        return
    if not backups.is_sealed(file):
        # Whoever had it in his hands may have written anything into it.
        raise archives.ArchiveWithoutSecrets(
            "this file is not sealed, and is only to be read", hint="Export it without --plain."
        )
    imported = take_in(checked, opened, into, data, takes_over=takes_over, expected=whose)
    told = {**_told(checked), "into": into, "waiting": imported.waiting, "takes_over": takes_over}
    answer(told, f"{_text(told)}\n{_after(told)}", as_json=as_json)


async def write_archive(settings: Settings, tenant_id: UUID, out: Path, keys: backups.Keyring | None) -> int:
    """Write an archive, sealed or plain; return its size."""
    loop = asyncio.get_running_loop()
    async with reading(settings.database_url) as connection:
        found = archives.pieces(connection, tenant_id, seal=Seal(settings.secret_key) if keys else None, tell=tell)
        try:
            return await asyncio.to_thread(_write, out, _pulled(found, loop), keys)
        finally:
            await found.aclose()  # type: ignore[attr-defined]


def opener(path: Path, settings: Settings, key: Path | None) -> archives.Opened:
    """Return what opens an archive, sealed or plain."""
    if backups.is_sealed(path):
        return partial(backups.open_sealed, path, PURPOSE, _keys(settings, key))
    return partial(_plain, path)


def take_in(
    checked: archives.Checked,
    opened: archives.Opened,
    into: str | None,
    data: Path | None,
    *,
    takes_over: bool,
    expected: UUID | None = None,
) -> archives.Imported:
    """Import into the instance of the settings, a directory, or a database's address. A directory that failed is empty again."""

    async def importing(settings: Settings) -> archives.Imported:
        await _require_current(settings)
        async with reading(settings.database_url) as connection, reading(settings.database_admin_url) as owner:
            return await archives.import_tenant(
                connection,
                checked,
                opened,
                owner=owner,
                seal=Seal(settings.secret_key),
                takes_over=takes_over,
                actor=ACTOR,
                tell=tell,
                expected=expected,
            )

    with ExitStack() as stack:
        if into is None:
            settings = stack.enter_context(instance(data))
        elif "://" in into:
            settings = elsewhere(into, data)
        else:
            settings = stack.enter_context(_new_instance(Path(into)))
        return asyncio.run(importing(settings))


async def _require_current(settings: Settings) -> None:
    db = await Database.open(settings.database_url, size=1)
    try:
        async with db.engine() as tx:
            await migrations.require_current(tx)
    except asyncpg.InsufficientPrivilegeError as error:
        raise archives.ImportForbidden(
            f"this role may not import: {error}",
            hint="Use an address that may work there as bursar_app and bursar_engine.",
        ) from None
    finally:
        await db.close()


@contextmanager
def _new_instance(directory: Path) -> Iterator[Settings]:
    """Make an embedded instance in an empty directory; it is gone again when what is done with it fails."""
    settings = settings_for(directory)
    with new_cluster(directory, bin_dir=tools_of(settings).bin_dir) as cluster:
        made = of_cluster(settings, cluster)
        asyncio.run(migrate(made))
        yield made


def elsewhere(url: str, data: Path | None) -> Settings:
    """Return the settings of another installation's database. Raises SecretKeyMissing."""
    settings = settings_for(data)
    if not settings.secret_key:
        raise SecretKeyMissing(
            "which key seals secrets in that database is not known",
            hint="Set BURSAR_SECRET_KEY to the key of the installation that works on it.",
        )
    changes = dict.fromkeys(("database_url", "database_direct_url", "database_admin_url"), url)
    return settings_for(data, **changes)


def _keys(settings: Settings, key: Path | None) -> backups.Keyring:
    return backups.read_keyring(key.absolute() if key else key_file(settings))


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    try:
        with zstandard.open(path, "rb") as file:
            yield file
    except zstandard.ZstdError as error:
        raise archives.ArchiveDamaged(f"{path} cannot be unpacked: {error}") from None


def _write(out: Path, content: Iterator[bytes], keys: backups.Keyring | None) -> int:
    if keys is not None:
        content = backups.seal_file(PURPOSE, {}, content, keys)
    with private_file(out) as file:
        if keys is not None:
            return sum(map(file.write, content))
        with zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(file, closefd=False) as packed:
            for piece in content:
                packed.write(piece)
        return file.tell()


def _pulled(pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Give what a loop reads to a thread that writes; neither runs ahead of the other."""

    async def following() -> bytes | None:
        return await anext(pieces, None)

    while (piece := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
        yield piece


def _told(checked: archives.Checked) -> dict[str, Any]:
    manifest = checked.manifest
    return {
        "tenant": checked.head.tenant,
        "name": checked.head.name,
        "taken_at": checked.head.taken_at,
        "rows": manifest.rows,
        "tables": {name: table.rows for name, table in manifest.tables.items() if table.rows},
        "fingerprint": manifest.fingerprint,
        "has_secrets": checked.head.has_secrets,
    }


def _text(told: dict[str, Any]) -> str:
    return (
        f"{told['tenant']} ({told['name']}) as of {told['taken_at']}: {told['rows']} rows of {len(told['tables'])} tables, "
        f"fingerprint {told['fingerprint']}"
    )


def _after(told: dict[str, Any]) -> str:
    if told["takes_over"]:
        return "imported; what waited there is done here from now on"
    return (
        f"imported as a copy: gateway accounts and alert channels are off, {told['waiting']} jobs, events and letters wait for ever; "
        "with --take-over it would go on with them"
    )
