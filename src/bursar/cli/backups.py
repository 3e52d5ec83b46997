"""`bursar backup`: take one now, list them, prove them, remove old ones; and the key that seals them."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import asyncpg
import typer

from bursar import backups
from bursar.cli.backup_store import is_logical, keeping_of, key_file, manner_of, note_wanted, place_of, vault_of
from bursar.cli.connection import admin_url_if_up, instance, is_up, settings_for
from bursar.cli.lifetime import follow_supervisor
from bursar.cli.options import Data, Json, answer, tell
from bursar.cli.supervisor import migrate
from bursar.kernel.errors import DomainError, Invalid
from bursar.kernel.logs import configure_logs
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Back up: now, list, verify, prune, and the key that seals.")

_CANNOT: Final = (
    "This is a logical backup: it holds what was committed when it began. There is no log beside it, so no moment between\n"
    "two backups can be restored, and a disaster costs what was written since the last one: up to {hours} h\n"
    "(BURSAR_BACKUP_FULL_HOURS) while bursar up or bursar backup run is running. Roles and passwords are not in it."
)


class IncrementalImpossible(Invalid):
    """Only base backups can be incremental."""

    code = "backup_incremental_impossible"


Name = Annotated[str | None, typer.Argument(help="A backup's name from the list; none: the newest.")]


@app.command()
def now(
    data: Data = None,
    *,
    incremental: Annotated[bool, typer.Option(help="Only what changed since the newest one (PostgreSQL 17+).")] = False,
    logical: Annotated[
        bool, typer.Option(help="Rows instead of files, by pg_dump; so by itself where files cannot be had.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take a backup, read it again and prove it."""
    vault_of(settings_for(data))  # refuses before a server is started for it
    with instance(data) as settings:
        if settings_for(data).database_url == "" and not is_up(settings):
            asyncio.run(migrate(settings))
        backup = asyncio.run(_taken(settings, incremental=incremental, logical=logical))
    text = f"{_line(backup)}\nproven"
    if backup.is_logical:
        text += f"\n{_CANNOT.format(hours=settings.backup_full_hours)}"
    answer(_told(backup), text, as_json=as_json)


@app.command("list")
def list_backups(data: Data = None, *, as_json: Json = False) -> None:
    """List the backups of the store, oldest first."""
    catalogue = backups.list_backups(vault_of(settings_for(data)))
    unread = [{"backup": name, "code": why.code, "message": why.message} for name, why in catalogue.unread]
    lines = [
        *map(_line, catalogue.backups),
        *(f"{name}  DOES NOT OPEN: {why.message}" for name, why in catalogue.unread),
    ]
    told = {"data": [_told(backup) for backup in catalogue.backups], "unread": unread}
    answer(told, "\n".join(lines) or "the store holds no backup", as_json=as_json)


@app.command()
def key(
    data: Data = None,
    *,
    rotate: Annotated[bool, typer.Option(help="Make a new one; the older ones still open what they sealed.")] = False,
    as_json: Json = False,
) -> None:
    """Make the key that seals backups, and print its recovery copy, once."""
    path = key_file(settings_for(data))
    line = backups.add_key(path, rotate=rotate)
    text = (
        f"The key is in {path}. This is its recovery copy, shown once; keep it where neither this machine's end nor\n"
        f"the store's reaches. Without it no backup can be opened.\n\n{line}"
    )
    answer({"file": str(path), "recovery_copy": line}, text, as_json=as_json)


@app.command()
def verify(
    backup: Name = None,
    data: Data = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every backup, and every segment of the log.")] = False,
    as_json: Json = False,
) -> None:
    """Read a backup to its end and hold every file against the server's manifest; find the log without a gap.

    Exits with 1 when something is not whole, and names it; where the database runs, so do an alert and /health until it is whole.
    """
    settings = settings_for(data)
    vault = vault_of(settings)
    catalogue = backups.list_backups(vault)
    chosen = (
        list(catalogue.backups) if every else [catalogue.backup(backup)] if backup else list(catalogue.backups[-1:])
    )
    findings = [_finding(one.id, partial(_proven, vault, catalogue, one)) for one in chosen]
    findings += [{"what": name, "ok": False, "found": why.message, "code": why.code} for name, why in catalogue.unread]
    findings.append(_finding("log", lambda: _log_proven(vault, is_read=every)))
    ok = all(finding["ok"] for finding in findings)
    read = {one.id for one in chosen} | ({"log"} if every else set())
    looked = {one.id: backups.Verified(one.id, None, is_read=False) for one in catalogue.backups}
    looked |= {finding["what"]: _verified(finding, is_read=finding["what"] in read) for finding in findings}
    asyncio.run(_note(admin_url_if_up(settings), list(looked.values())))
    lines = [f"{'ok  ' if finding['ok'] else 'BAD '} {finding['what']}: {finding['found']}" for finding in findings]
    answer({"ok": ok, "findings": findings}, "\n".join(lines), as_json=as_json)
    raise typer.Exit(0 if ok else 1)


@app.command()
def prune(
    data: Data = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the backups, and the part of the log, that the settings do not keep. Never the newest that proves right."""
    settings = settings_for(data)
    pruned = backups.prune(vault_of(settings), keeping_of(settings), now=datetime.now(UTC), only_shown=dry_run)
    lines = [
        *(f"kept     {name}  {reason}" for name, reason in sorted(pruned.kept.items())),
        *(f"{'would go' if dry_run else 'removed '} {name}" for name in pruned.removed),
        f"{len(pruned.segments)} segments of the log {'would go' if dry_run else 'removed'}",
    ]
    told = {
        "is_dry_run": dry_run,
        "kept": [{"backup": name, "reason": reason} for name, reason in pruned.kept.items()],
        "removed": list(pruned.removed),
        "segments_removed": len(pruned.segments),
        "proven": pruned.proven,
    }
    answer(told, "\n".join(lines), as_json=as_json)


@app.command(hidden=True)
def run(data: Data = None, *, as_json: Json = False) -> None:
    """Keep the log and take the backups that are due, until SIGTERM. `bursar up` starts this."""
    is_supervised = follow_supervisor()
    configure_logs()
    with instance(data) as settings:
        if not is_supervised:
            if settings.backup_store:
                note_wanted(settings)
            answer({"backups": "running"}, "backups are running", as_json=as_json)
        try:
            asyncio.run(_run(settings))
        except DomainError as refusal:
            tell(f"backups: {refusal.message}. {refusal.hint}")
            raise typer.Exit(1) from refusal
        except asyncpg.InternalClientError as lost:
            # How asyncpg says that a server was killed while it was being spoken to.
            tell(f"backups: the database broke off: {lost}")
            raise typer.Exit(1) from lost


async def _run(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    way = backups.Rounds if await is_logical(settings) else backups.Stream
    await way(place_of(settings), manner_of(settings)).run(stopping)
    # A base backup may be under way in a thread that nothing can end. It is not listed, and the next one removes it.
    os._exit(0)


async def _taken(settings: Settings, *, incremental: bool, logical: bool) -> backups.Backup:
    if not (logical or await is_logical(settings)):
        return await backups.take(place_of(settings), "incremental" if incremental else "full")
    if incremental:
        raise IncrementalImpossible(
            "logical backups are always whole, and base backups cannot be had from this server as this role",
            hint="Leave --incremental out.",
        )
    return await backups.dump(place_of(settings))


def _finding(what: str, prove: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"what": what, "ok": True, "found": prove()}
    except DomainError as refusal:
        return {"what": what, "ok": False, "found": refusal.message, "code": refusal.code}


def _verified(finding: dict[str, Any], *, is_read: bool) -> backups.Verified:
    if finding["ok"]:
        return backups.Verified(finding["what"], None, is_read)
    if finding["code"] == backups.BackupStoreFailed.code:
        return backups.Verified(finding["what"], None, None)
    return backups.Verified(finding["what"], finding["found"], is_read)


async def _note(url: str, looked: Sequence[backups.Verified]) -> None:
    """Write down what was found, where alerts and /health read it. Without a database it is said here alone."""
    why = "no database runs here"
    if url:
        try:
            async with backups.connected(url) as connection:
                await connection.write_verified(looked)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            why = f"the database refuses: {error or type(error).__name__}"
        else:
            return
    if url or any(one.failure for one in looked):
        tell(f"what was found could not be written down, so no alert tells of it: {why}")


def _proven(vault: backups.Vault, catalogue: backups.Catalogue, backup: backups.Backup) -> str:
    for one in catalogue.chain(backup):
        backups.prove_backup(vault, one)
    return f"{backup.kind}, {backup.plain_bytes / 1e6:.1f} MB, as it was written"


def _log_proven(vault: backups.Vault, *, is_read: bool) -> str:
    proven = backups.prove_log(vault, is_read=is_read)
    if proven.until is None:
        return "none is kept"
    if proven.since is None:
        return f"up to {proven.until.isoformat()}, and no full backup it leads on from"
    return f"whole from {proven.since.isoformat()} to {proven.until.isoformat()}, {proven.segments} segments"


def _told(backup: backups.Backup) -> dict[str, Any]:
    return {
        "backup": backup.id,
        "kind": backup.kind,
        "parent": backup.parent,
        "began_at": backup.began_at,
        "ended_at": backup.ended_at,
        "stored_bytes": backup.size,
        "bytes": backup.plain_bytes,
        "postgres": backup.version,
        "timeline": backup.timeline,
    }


def _line(backup: backups.Backup) -> str:
    return f"{backup.id:<40}{backup.plain_bytes / 1e6:>10.1f} MB as {backup.size / 1e6:.1f} MB  {backup.ended_at}"
