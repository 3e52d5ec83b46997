"""Backups of the whole database, and the way back: base backups, the log streamed beside them, restores to a point.

It is not a replica and not an export: nothing here can be read without the keys and PostgreSQL's own programs. It
knows nothing of money. Base backups are made, checked and put together by the server's own tools.

Invariants:
- a logical backup holds the rows that were counted in its snapshot, in every table;
- an object that was changed, cut off, exchanged or sealed with an unknown key does not open, and is named;
- a backup is listed when all of it was read again and every file found as the server's manifest says;
- a restore proves everything it needs before it writes, goes to a point, and finds the mark that belongs to it;
- the log has no gap that a restore does not refuse: at its start, in its middle, at its end;
- nothing is pruned that the newest backup which still proves right needs, nor that any kept one needs.
"""

from bursar.backups.catalogue import Backup, BackupNotFound, BackupParentMissing, Catalogue, list_backups
from bursar.backups.drilling import Check, Drilled, Known, Targets, drill
from bursar.backups.drills import DrillReport, DrillUnderWay, Listed, drills, listed, noted
from bursar.backups.due import Rhythm
from bursar.backups.dumping import BackupRoleBound, dump
from bursar.backups.envelope import BackupDamaged
from bursar.backups.files import SealedFileMissing, is_sealed, open_sealed, seal_file
from bursar.backups.health import BACKUP_SLACK, DAMAGED, Ages, advice, ages, caution, complaint
from bursar.backups.keys import (
    BackupKeyExists,
    BackupKeyInvalid,
    BackupKeyMissing,
    BackupKeyUnknown,
    Keyring,
    add_key,
    read_keyring,
)
from bursar.backups.loading import DatabaseTaken, Loaded, RestoreIncomplete, load_into_url
from bursar.backups.looking import clear_look, look_into
from bursar.backups.planning import LATEST, Plan, RestoreImpossible, RestoreTargetInvalid, plan, prove
from bursar.backups.proving import prove_backup
from bursar.backups.pruning import Keeping, NothingProven, Pruned, prune
from bursar.backups.restoring import Restored, Scene, restore
from bursar.backups.rounds import Rounds
from bursar.backups.source import BackupUnderWay, Verified, connected
from bursar.backups.spool import SYNCHRONOUS, Spooled, spooled
from bursar.backups.standing import LogProven, prove_log
from bursar.backups.store import SCHEME, BackupObjectMissing, BackupStoreFailed, DirectoryStore, Store
from bursar.backups.streaming import Drills, LogBehind, Manner, ReceiverEnded, Stream
from bursar.backups.taking import BackupFailed, Place, take
from bursar.backups.vault import BackupStoreEmpty, BackupStoreOfAnother, Vault

__all__ = [
    "BACKUP_SLACK",
    "DAMAGED",
    "LATEST",
    "SCHEME",
    "SYNCHRONOUS",
    "Ages",
    "Backup",
    "BackupDamaged",
    "BackupFailed",
    "BackupKeyExists",
    "BackupKeyInvalid",
    "BackupKeyMissing",
    "BackupKeyUnknown",
    "BackupNotFound",
    "BackupObjectMissing",
    "BackupParentMissing",
    "BackupRoleBound",
    "BackupStoreEmpty",
    "BackupStoreFailed",
    "BackupStoreOfAnother",
    "BackupUnderWay",
    "Catalogue",
    "Check",
    "DatabaseTaken",
    "DirectoryStore",
    "DrillReport",
    "DrillUnderWay",
    "Drilled",
    "Drills",
    "Keeping",
    "Keyring",
    "Known",
    "Listed",
    "Loaded",
    "LogBehind",
    "LogProven",
    "Manner",
    "NothingProven",
    "Place",
    "Plan",
    "Pruned",
    "ReceiverEnded",
    "RestoreImpossible",
    "RestoreIncomplete",
    "RestoreTargetInvalid",
    "Restored",
    "Rhythm",
    "Rounds",
    "Scene",
    "SealedFileMissing",
    "Spooled",
    "Store",
    "Stream",
    "Targets",
    "Vault",
    "Verified",
    "add_key",
    "advice",
    "ages",
    "caution",
    "clear_look",
    "complaint",
    "connected",
    "drill",
    "drills",
    "dump",
    "is_sealed",
    "list_backups",
    "listed",
    "load_into_url",
    "look_into",
    "noted",
    "open_sealed",
    "plan",
    "prove",
    "prove_backup",
    "prove_log",
    "prune",
    "read_keyring",
    "restore",
    "seal_file",
    "spooled",
    "take",
]
