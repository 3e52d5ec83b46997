"""What a restore will do: which backup, which part of the log, up to which point. Nothing is written here.

A plan is complete or refused: every object it needs is there, and the log has no gap between the backup and the point.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bursar.backups.catalogue import Backup, Catalogue, list_backups
from bursar.backups.envelope import BackupDamaged
from bursar.backups.proving import prove_kept
from bursar.backups.store import BackupObjectMissing
from bursar.backups.vault import Vault
from bursar.backups.wal import (
    SEGMENT,
    Branch,
    Mark,
    begins_object,
    chain_of,
    history_object,
    is_on,
    lsn_text,
    mark_of,
    segment_object,
    segments_between,
    tail_object,
)
from bursar.kernel.errors import Conflict, Invalid

LATEST: Final = "latest"


class RestoreImpossible(Conflict):
    """No backup and log of the store lead to the point that was asked for."""

    code = "restore_impossible"


class RestoreTargetInvalid(Invalid):
    """The point to restore to is neither `latest`, nor a backup, nor a time."""

    code = "restore_target_invalid"


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of the log and the object that holds it, which may be the tail."""

    segment: str
    object: str


@dataclass(frozen=True, slots=True)
class Plan:
    """chain: the backups to put together, the full one first. pieces: the log after them.

    point: what recovery must reach, in words. settings: the same for PostgreSQL. mark: the number that the database
    must then have at least. histories: what is known of all timelines, so that a new one gets a number of its own.
    """

    chain: Sequence[Backup]
    pieces: Sequence[Piece]
    point: str
    settings: dict[str, str]
    mark: int
    is_exact: bool
    histories: Sequence[str]

    @property
    def newest(self) -> Backup:
        return self.chain[-1]

    @property
    def is_logical(self) -> bool:
        return self.newest.is_logical


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the log ends: the newest mark, and the segment that the tail has a part of; empty for none."""

    segment: str
    mark: Mark


def plan(vault: Vault, to: str) -> Plan:
    """Plan a restore. to: `latest`, the name of a backup, or a time with its offset (ISO 8601).

    Raises: RestoreTargetInvalid, RestoreImpossible, BackupNotFound, BackupObjectMissing, BackupDamaged, BackupKeyUnknown.
    """
    catalogue = list_backups(vault)
    if not catalogue.backups:
        if catalogue.unread:
            raise catalogue.unread[0][1]
        raise RestoreImpossible("the store holds no backup", hint="Is BURSAR_BACKUP_STORE the right one?")
    if to == LATEST:
        return _to_the_end(vault, catalogue)
    if to.endswith(("-full", "-incremental", "-logical")):
        return _to_backup(vault, catalogue, catalogue.backup(to))
    return _to_time(vault, catalogue, _time(to))


def prove(vault: Vault, planned: Plan) -> None:
    """Read everything a plan needs to its end. Raises: BackupDamaged, BackupObjectMissing, BackupKeyUnknown.

    That a base backup is the object that was held against the server's manifest when it was taken is enough; its files are again as they are unpacked.
    """
    for backup in planned.chain:
        prove_kept(vault, backup)
    for piece in planned.pieces:
        said = vault.prove(piece.object)
        if said["segment"] != piece.segment:
            raise BackupDamaged(f"{piece.object} holds the segment {said['segment']}, {piece.segment} is needed")


def chain_of_timeline(vault: Vault, timeline: int) -> list[Branch]:
    """Return the timelines that lead to one. Raises: BackupObjectMissing, where its history is gone."""
    if timeline == 1:
        return chain_of(1, "")
    return chain_of(timeline, vault.whole(history_object(timeline)).decode("ascii"))


def newest_timeline(vault: Vault, backups: Sequence[Backup]) -> int:
    """Return the timeline on which the installation was last."""
    kept = [int(name.split("/")[1], 16) for name in vault.names("wal") if name != begins_object()]
    return max([*kept, *(backup.timeline for backup in backups)])


def newest_tail(vault: Vault, timeline: int, backups: Sequence[Backup]) -> Tail | None:
    """Return where the log of a timeline ends; None where none was ever kept.

    Raises: BackupObjectMissing, where there is a log and what says where it ends is gone.
    """
    name = tail_object(timeline)
    segments = [one for one in vault.names(f"wal/{timeline:08X}") if SEGMENT.fullmatch(one.rpartition("/")[2])]
    if not vault.has(name):
        if segments or any(backup.is_streaming and backup.timeline == timeline for backup in backups):
            raise gap([name], "which says where the log ends")
        return None
    said = vault.said(name)
    tail = Tail(said["segment"], mark_of(said["mark"]))
    last = vault.said(segments[-1])["mark"] if segments else None
    # A crash between the two puts leaves segments that reach further than the tail.
    return Tail("", mark_of(last)) if last and last["number"] > tail.mark.number else tail


def pieces_between(vault: Vault, base: Backup, end: int, chain: Sequence[Branch], tail: Tail) -> Iterator[Piece]:
    """Give what holds the log from a backup to a position, one segment after the other.

    Raises: BackupObjectMissing, at the first gap.
    """
    have = set(vault.names("wal"))
    for name in segments_between(base.start_lsn, end, chain=chain, segment_bytes=base.segment_bytes):
        whole = segment_object(name)
        kept = whole if whole in have or name != tail.segment else tail_object(chain[-1].timeline)
        if kept not in have:
            raise gap([kept], f"a segment of the log between the backup {base.id} and {lsn_text(end)}")
        yield Piece(name, kept)


def _to_backup(vault: Vault, catalogue: Catalogue, backup: Backup) -> Plan:
    if backup.is_logical:
        point = f"the instant at which the logical backup {backup.id} was begun"
        return Plan([backup], (), point, settings={}, mark=backup.mark, is_exact=True, histories=())
    return Plan(
        chain=catalogue.chain(backup),
        pieces=(),
        point=f"the end of the backup {backup.id}, {backup.ended_at}",
        settings={"recovery_target": "immediate", "recovery_target_timeline": str(backup.timeline)},
        mark=backup.mark,
        is_exact=False,
        histories=_histories(vault),
    )


def _to_the_end(vault: Vault, catalogue: Catalogue) -> Plan:
    newest = catalogue.backups[-1]
    if newest.is_logical:
        return _to_backup(vault, catalogue, newest)
    timeline = newest_timeline(vault, catalogue.backups)
    tail = newest_tail(vault, timeline, catalogue.backups)
    if tail is None or (newest.timeline == timeline and newest.end_lsn > tail.mark.lsn):
        return _to_backup(vault, catalogue, newest)
    chain, mark = chain_of_timeline(vault, timeline), tail.mark
    base = _base(catalogue, chain, lambda backup: backup.end_lsn <= mark.lsn, "the end of the log")
    return Plan(
        chain=catalogue.chain(base),
        pieces=list(pieces_between(vault, base, mark.lsn, chain, tail)),
        point=f"the last mark of the log: {mark.number}, {mark.at.isoformat()}, at {lsn_text(mark.lsn)}",
        settings={"recovery_target_name": mark.name, "recovery_target_timeline": str(timeline)},
        mark=mark.number,
        is_exact=True,
        histories=_histories(vault),
    )


def _to_time(vault: Vault, catalogue: Catalogue, at: datetime) -> Plan:
    if catalogue.backups[-1].is_logical:
        raise RestoreImpossible(
            "the store holds logical backups: of no moment between two of them is there anything",
            hint="Restore to a backup, or to latest: bursar backup list",
        )
    timeline = newest_timeline(vault, catalogue.backups)
    tail = newest_tail(vault, timeline, catalogue.backups)
    if tail is None:
        raise RestoreImpossible("the store holds no log, only backups", hint="Restore to a backup: bursar backup list")
    if at >= tail.mark.at:
        raise RestoreImpossible(
            f"the log ends at {tail.mark.at.isoformat()}, not after {at.isoformat()}", hint="Restore to latest."
        )
    chain = chain_of_timeline(vault, timeline)
    base = _base(catalogue, chain, lambda backup: backup.ended < at, at.isoformat())
    pieces, number = [], base.mark
    for piece in pieces_between(vault, base, tail.mark.lsn, chain, tail):
        pieces.append(piece)
        said = vault.said(piece.object)["mark"]
        mark = mark_of(said) if said else None
        if mark and mark.at > at:
            break
        number = max(number, mark.number if mark else 0)
    return Plan(
        chain=catalogue.chain(base),
        pieces=pieces,
        point=at.isoformat(),
        settings={"recovery_target_time": at.isoformat(), "recovery_target_timeline": str(timeline)},
        mark=number,
        is_exact=False,
        histories=_histories(vault),
    )


def _base(catalogue: Catalogue, chain: Sequence[Branch], fits: Callable[[Backup], bool], what: str) -> Backup:
    found = [
        backup
        for backup in catalogue.backups
        if fits(backup) and is_on(chain, timeline=backup.timeline, lsn=backup.end_lsn)
    ]
    if not found:
        raise RestoreImpossible(f"no backup was finished before {what}", hint="See bursar backup list.")
    return found[-1]


def gap(missing: Sequence[str], where: str) -> BackupObjectMissing:
    return BackupObjectMissing(
        f"the store lacks {', '.join(missing)}, {where}",
        hint="Use another copy of the store, or restore to an older backup by its name (bursar backup list).",
    )


def _histories(vault: Vault) -> list[str]:
    return [name for name in vault.names("wal") if name.endswith("/history")]


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RestoreTargetInvalid(
            f"{text!r} is no point to restore to",
            hint="Say latest, a backup's name from bursar backup list, or a time such as 2026-11-21T15:00:00+00:00.",
        )
    return at
