"""Which backups are kept: all of the last days, then the newest of days, weeks and months; and what the others held."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bursar.backups.catalogue import Backup, Catalogue, list_backups, strike
from bursar.backups.proving import prove_backup
from bursar.backups.standing import log_begins
from bursar.backups.vault import Vault
from bursar.backups.wal import SEGMENT, begins_object, segment_number
from bursar.kernel.errors import Conflict, DomainError


class NothingProven(Conflict):
    """No backup proves right, so none may be removed."""

    code = "backup_nothing_proven"


@dataclass(frozen=True, slots=True)
class Keeping:
    """whole: every backup, and the log, of so long. Then the newest full one of each of so many days, weeks, months."""

    whole: timedelta
    days: int
    weeks: int
    months: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """kept: backups with the reason. removed: backups. segments: of the log, removed. proven: the backup that was read."""

    kept: dict[str, str]
    removed: Sequence[str]
    segments: Sequence[str]
    proven: str | None


def prune(vault: Vault, keeping: Keeping, *, now: datetime, only_shown: bool) -> Pruned:
    """Remove what need not be kept. only_shown: say what would be, and remove nothing.

    Before anything goes, the newest backup is read again; where it is damaged, the newest one that is not is kept.
    Raises: NothingProven.
    """
    catalogue = list_backups(vault)
    reasons = kept_by_age(catalogue, keeping, now=now)
    begins = _log_begins(catalogue, keeping, now=now)
    proven = None
    if any(backup.id not in reasons for backup in catalogue.backups):
        proven = newest_proven(vault, catalogue)
        for backup in catalogue.chain(proven):
            reasons.setdefault(backup.id, "the newest that proves right, and what it builds on")
            begins = min(begins, backup.start_lsn)
    removed = [backup.id for backup in reversed(catalogue.backups) if backup.id not in reasons]
    segments = _before(vault, begins, catalogue)
    if not only_shown:
        for name in removed:
            strike(vault, name)
        if segments:
            vault.put(begins_object(), {"lsn": max(begins, log_begins(vault))})
        for name in segments:
            vault.remove(name)
        vault.tidy()
    return Pruned(reasons, removed, segments, proven.id if proven else None)


def kept_by_age(catalogue: Catalogue, keeping: Keeping, *, now: datetime) -> dict[str, str]:
    """Return what is kept by its age, with the reason, and what those build on. Pure."""
    newest_first = list(reversed(catalogue.backups))
    fulls = [backup for backup in newest_first if backup.kind != "incremental"]
    reasons = {one.id: "of the last days" for one in newest_first if now - one.ended <= keeping.whole}
    before = next((one for one in fulls if now - one.ended > keeping.whole), None)
    if before:
        reasons.setdefault(before.id, "the way to the first moment of the log")
    for word, count, period in (
        ("day", keeping.days, lambda at: at.date()),
        ("week", keeping.weeks, lambda at: at.isocalendar()[:2]),
        ("month", keeping.months, lambda at: (at.year, at.month)),
    ):
        for backup in _newest_of(fulls, count, period):
            reasons.setdefault(backup.id, f"the newest of its {word}")
    for name in list(reasons):
        for backup in _chain(catalogue, name):
            reasons.setdefault(backup.id, f"{name} builds on it")
    return reasons


def newest_proven(vault: Vault, catalogue: Catalogue) -> Backup:
    """Return the newest backup that proves right, with all it builds on. Raises: NothingProven."""
    why = ""
    for backup in reversed(catalogue.backups):
        try:
            for one in catalogue.chain(backup):
                prove_backup(vault, one)
        except DomainError as refusal:
            why = why or refusal.message
        else:
            return backup
    raise NothingProven(f"no backup proves right, so none is removed: {why}", hint="Take one: bursar backup now")


def _newest_of(fulls: Sequence[Backup], count: int, period: Callable[[datetime], object]) -> list[Backup]:
    """Return the newest backup of each of the newest periods that have one. fulls: newest first."""
    found: dict[object, Backup] = {}
    for backup in fulls:
        found.setdefault(period(backup.ended.astimezone(UTC)), backup)
    return list(found.values())[:count]


def _chain(catalogue: Catalogue, name: str) -> list[Backup]:
    try:
        return catalogue.chain(catalogue.backup(name))
    except DomainError:
        return []


def _log_begins(catalogue: Catalogue, keeping: Keeping, *, now: datetime) -> int:
    """Return from where on the log must be kept: from the backup that leads to its first moment."""
    fulls = [backup for backup in catalogue.backups if backup.kind != "incremental"]
    before = [backup for backup in fulls if now - backup.ended > keeping.whole]
    first = before[-1] if before else next(iter(fulls), None)
    return first.start_lsn if first else 0


def _before(vault: Vault, begins: int, catalogue: Catalogue) -> list[str]:
    if not catalogue.backups or catalogue.backups[-1].is_logical:
        return []
    size = catalogue.backups[-1].segment_bytes
    names = [name for name in vault.names("wal") if SEGMENT.fullmatch(name.rpartition("/")[2])]
    return [name for name in names if segment_number(name.rpartition("/")[2], size) < begins // size]
