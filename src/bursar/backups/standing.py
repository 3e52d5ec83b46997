"""Whether the log in the store leads without a gap from the oldest moment that can be restored to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bursar.backups.catalogue import Backup, list_backups
from bursar.backups.planning import chain_of_timeline, newest_tail, newest_timeline, pieces_between
from bursar.backups.vault import Vault
from bursar.backups.wal import begins_object, is_on


@dataclass(frozen=True, slots=True)
class LogProven:
    """since, until: any moment between them can be restored; None where there is no log. segments: found on the way."""

    since: datetime | None
    until: datetime | None
    segments: int


def prove_log(vault: Vault, *, is_read: bool = False) -> LogProven:
    """Find every segment from the oldest full backup whose log is kept to the newest mark.

    is_read: read each to its end as well. Raises: BackupObjectMissing, which names the gap; BackupDamaged, BackupKeyUnknown.
    """
    backups = list_backups(vault).backups
    if not backups:
        return LogProven(None, None, 0)
    timeline = newest_timeline(vault, backups)
    tail = newest_tail(vault, timeline, backups)
    if tail is None:
        return LogProven(None, None, 0)
    chain = chain_of_timeline(vault, timeline)
    bases = [
        backup
        for backup in within_log(vault, backups)
        if backup.end_lsn <= tail.mark.lsn and is_on(chain, timeline=backup.timeline, lsn=backup.end_lsn)
    ]
    if not bases:
        return LogProven(None, tail.mark.at, 0)
    pieces = list(pieces_between(vault, bases[0], tail.mark.lsn, chain, tail))
    if is_read:
        for piece in pieces:
            vault.prove(piece.object)
    return LogProven(bases[0].ended, tail.mark.at, len(pieces))


def log_begins(vault: Vault) -> int:
    """Return the position from which on the log is kept; 0 where it was never said."""
    return int(vault.said(begins_object())["lsn"]) if vault.has(begins_object()) else 0


def within_log(vault: Vault, backups: Sequence[Backup]) -> list[Backup]:
    """Return the full backups whose log is kept from their beginning."""
    begins = log_begins(vault)
    return [backup for backup in backups if backup.kind == "full" and backup.start_lsn >= begins]
