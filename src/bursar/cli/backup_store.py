"""What the settings say about backups: the store, its keys, the rhythm, what is kept; and how `up` begins with them."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg

from bursar import backups
from bursar.cli.options import tell
from bursar.kernel.errors import DomainError, Invalid
from bursar.kernel.postgres import Tools, wheel_bin
from bursar.kernel.processes import is_alive
from bursar.kernel.settings import Settings
from bursar.operations import figures

_SPOOL = "backup-spool"
_UNDER_DATA = "BURSAR_BACKUP_SYNCHRONOUS needs BURSAR_BACKUP_SPOOL outside the data directory, and BURSAR_BACKUP_STORE"
_SCRATCH = "drill"
_LOOKING = "looking"


class BackupStoreMissing(Invalid):
    """No store is configured."""

    code = "backup_store_missing"


class BackupKeyInStore(Invalid):
    """The key lies in the store that it seals, where whoever takes the one has the other."""

    code = "backup_key_in_store"


class SpoolUnsafe(Invalid):
    """The log shall be safe before anything is acknowledged, and there is no place for it that would be."""

    code = "backup_spool_unsafe"


def place_of(settings: Settings) -> backups.Place:
    """Return what a backup of an instance is made of. settings: complete, with addresses."""
    return backups.Place(
        settings.database_admin_url,
        tools_of(settings),
        vault_of(settings),
        settings.secret_key,
        figures.count,
        settings.backup_database_url,
        figures.count_in,
    )


async def is_logical(settings: Settings) -> bool:
    """Tell whether backups are logical: where that is wanted, or where files and log are not to be had."""
    if settings.backup_logical:
        return True
    async with backups.connected(settings.database_admin_url) as connection:
        return not await connection.is_superuser()


def tools_of(settings: Settings) -> Tools:
    return Tools(Path(settings.postgres_bin) if settings.postgres_bin else wheel_bin())


def vault_of(settings: Settings) -> backups.Vault:
    """Return the configured store with its keys. Raises: BackupStoreMissing, BackupKeyInStore, BackupKeyMissing."""
    if not settings.backup_store:
        raise BackupStoreMissing(
            "no backup store is configured", hint="Set BURSAR_BACKUP_STORE to a directory, or to s3://bucket/prefix."
        )
    path = key_file(settings)
    if settings.backup_store.startswith(backups.SCHEME):
        return backups.Vault(_bucket_of(settings), backups.read_keyring(path))
    store = Path(settings.backup_store).absolute()
    if path.resolve().is_relative_to(store.resolve()):
        raise BackupKeyInStore(
            f"the key {path} lies in the store it seals", hint="Set BURSAR_BACKUP_KEY_FILE elsewhere."
        )
    return backups.Vault(backups.DirectoryStore(store), backups.read_keyring(path))


def _bucket_of(settings: Settings) -> backups.Store:
    from bursar.backups.buckets import Bucket, BucketStore  # noqa: PLC0415 - loads a library that directories need not

    bucket = Bucket(
        settings.backup_store,
        endpoint=settings.backup_s3_endpoint,
        region=settings.backup_s3_region,
        access_key=settings.backup_s3_access_key,
        secret_key=settings.backup_s3_secret_key,
    )
    return BucketStore(bucket)


def scratch_of(settings: Settings) -> Path:
    """Return the directory of drills: theirs alone."""
    return settings.data / _SCRATCH


def looking_of(settings: Settings) -> Path:
    """Return the directory of looks into backups: theirs alone."""
    return settings.data / _LOOKING


def carried_of(settings: Settings) -> Path:
    """Return the file in which this process carries a business out of a backup."""
    return settings.data / f"{_LOOKING}-{os.getpid()}.archive"


def clear_looks(settings: Settings) -> None:
    """Remove what looks into backups left that were killed: a copy of everything."""
    backups.clear_look(looking_of(settings))
    for path in settings.data.glob(f"*{_LOOKING}-*.archive*"):
        digits = path.name.lstrip(".").removeprefix(f"{_LOOKING}-").partition(".")[0]
        if digits.isdecimal() and not is_alive(int(digits)):
            path.unlink(missing_ok=True)


def targets_of(settings: Settings, *, logical: bool) -> backups.Targets:
    """Return what a drill is held against. Of logical backups no more can be asked than their interval, and a quarter."""
    rpo_s = settings.backup_full_hours * 3600 * backups.BACKUP_SLACK if logical else settings.drill_rpo_s
    return backups.Targets(rpo_s=rpo_s, rto_s=settings.drill_rto_s)


def key_file(settings: Settings) -> Path:
    return Path(settings.backup_key_file).absolute() if settings.backup_key_file else settings.data / "backup.keys"


def spool_of(settings: Settings) -> Path:
    """Return the directory into which the log is received."""
    return (Path(settings.backup_spool).absolute() if settings.backup_spool else settings.data) / _SPOOL


def server_options(settings: Settings) -> dict[str, str]:
    """Return what the embedded server must be told about backups. Raises: SpoolUnsafe."""
    if not settings.backup_synchronous:
        return {}
    is_inside = spool_of(settings).resolve().is_relative_to(settings.data.resolve())
    if is_inside or not settings.backup_store or settings.backup_logical:
        raise SpoolUnsafe(_UNDER_DATA, hint="Set both, with the spool on another disk; or leave it asynchronous.")
    return backups.SYNCHRONOUS


def manner_of(settings: Settings) -> backups.Manner:
    minutes = settings.backup_incremental_minutes
    return backups.Manner(
        spool=spool_of(settings),
        is_synchronous=settings.backup_synchronous,
        mark_s=settings.backup_mark_s,
        rhythm=backups.Rhythm(
            full=timedelta(hours=settings.backup_full_hours),
            incremental=timedelta(minutes=minutes) if minutes else None,
        ),
        keeping=keeping_of(settings),
        drills=_drills_of(settings),
    )


def _drills_of(settings: Settings) -> backups.Drills | None:
    if not settings.drill_hours:
        return None
    told = {
        "BURSAR_DATA": str(settings.data),
        "BURSAR_DATABASE_URL": settings.database_url,
        "BURSAR_DATABASE_DIRECT_URL": settings.database_direct_url,
        "BURSAR_DATABASE_ADMIN_URL": settings.database_admin_url,
        "BURSAR_SECRET_KEY": settings.secret_key,
    }
    return backups.Drills(
        every=timedelta(hours=settings.drill_hours),
        command=(sys.executable, "-m", "bursar", "drill", "--json"),
        environment={**os.environ, **told},
        scratch=scratch_of(settings),
    )


def keeping_of(settings: Settings) -> backups.Keeping:
    return backups.Keeping(
        whole=timedelta(hours=settings.backup_keep_hours),
        days=settings.backup_keep_days,
        weeks=settings.backup_keep_weeks,
        months=settings.backup_keep_months,
    )


def begin(settings: Settings) -> None:
    """Write down whether backups are wanted; where they are not, let the server keep no log for them any more.

    What is wrong with them is told and shows in health. It does not keep payments from being received.
    """
    clear_looks(settings)
    note_wanted(settings)


def note_wanted(settings: Settings) -> None:
    """Do so much of `begin` as does not disturb a look into a backup, which may be under way beside us."""
    is_wanted = bool(settings.backup_store)
    refusal = ""
    if is_wanted:
        try:
            vault_of(settings)
        except DomainError as wrong:
            refusal = f"{wrong.message}. {wrong.hint}"
            tell(f"there will be no backups: {refusal}")
    asyncio.run(_begin(settings.database_admin_url, is_wanted=is_wanted, refusal=refusal))


async def _begin(url: str, *, is_wanted: bool, refusal: str) -> None:
    try:
        async with backups.connected(url) as connection:
            await connection.want(is_wanted=is_wanted)
            if refusal:
                await connection.failed(refusal)
            elif not is_wanted:
                await connection.well()
                await connection.drop_slot()
    except (asyncpg.PostgresError, OSError) as error:
        tell(f"how backups stand cannot be written down: {error}")
