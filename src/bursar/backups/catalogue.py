"""Which backups a store holds, and what is known of each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from bursar.backups.vault import Kept, Vault, facts_of
from bursar.kernel.errors import DomainError, NotFound

Kind = Literal["full", "incremental", "logical"]

_TOP = "backups/"
_LAST = "/backup"


class BackupNotFound(NotFound):
    """The store has no backup of this name."""

    code = "backup_not_found"


class BackupParentMissing(NotFound):
    """An incremental backup is there, and one it builds on is not."""

    code = "backup_parent_missing"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: written whole, read again and found right before it was listed.

    kind: a logical one holds what the database held at one instant, and has no place in a log: no timeline, no positions.
    parent: the backup that an incremental one builds on. timeline, start_lsn, end_lsn: the log that makes it
    consistent, which it carries. mark: the number of the newest mark in it, 0 if there was none.
    objects: size and hash of what lies in the store, by name. is_streaming: the log was being kept beside it.
    figures: what was counted in the database when it was begun, to be counted again when it is restored.
    rows: of a logical one, of every table.
    """

    id: str
    kind: Kind
    parent: str | None
    began_at: str
    ended_at: str
    system: str
    version: str
    timeline: int
    start_lsn: int
    end_lsn: int
    segment_bytes: int
    mark: int
    is_streaming: bool
    plain_bytes: int
    objects: dict[str, dict[str, Any]]
    figures: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> datetime:
        return datetime.fromisoformat(self.ended_at)

    @property
    def size(self) -> int:
        """Bytes in the store."""
        return sum(int(kept["size"]) for kept in self.objects.values())

    @property
    def base(self) -> str:
        return object_of(self.id, "base")

    @property
    def is_logical(self) -> bool:
        return self.kind == "logical"

    @property
    def dump(self) -> str:
        return object_of(self.id, "dump")

    @property
    def server_manifest(self) -> str:
        return object_of(self.id, "server-manifest")

    @property
    def instance(self) -> str:
        return object_of(self.id, "instance")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """backups: oldest first. unread: those whose facts do not open, with the refusal."""

    backups: Sequence[Backup]
    unread: Sequence[tuple[str, DomainError]]

    def backup(self, name: str) -> Backup:
        """Return one. Raises: BackupNotFound, or why it does not open."""
        for other, why in self.unread:
            if other == name:
                raise why
        for backup in self.backups:
            if backup.id == name:
                return backup
        raise BackupNotFound(f"there is no backup {name}", hint="See bursar backup list.")

    def chain(self, backup: Backup) -> list[Backup]:
        """Return a backup and those it builds on, the full one first. Raises: BackupParentMissing."""
        chain = [backup]
        while (parent := chain[0].parent) is not None:
            try:
                chain.insert(0, self.backup(parent))
            except BackupNotFound:
                raise BackupParentMissing(
                    f"the backup {chain[0].id} builds on {parent}, which is missing", hint="Use another backup."
                ) from None
        return chain


def object_of(backup: str, part: str) -> str:
    return f"{_TOP}{backup}/{part}"


def list_backups(vault: Vault) -> Catalogue:
    """Read what the store has. A backup that is not finished is not listed."""
    found: list[Backup] = []
    unread: list[tuple[str, DomainError]] = []
    for name in vault.names(_TOP):
        if not name.endswith(_LAST):
            continue
        try:
            found.append(facts_of(vault.said(name), Backup, name))
        except DomainError as refusal:
            unread.append((name.removeprefix(_TOP).removesuffix(_LAST), refusal))
    return Catalogue(sorted(found, key=lambda backup: (backup.ended, backup.id)), unread)


def enter(vault: Vault, backup: Backup) -> None:
    """List a backup. Everything of it is in the store and proven."""
    vault.put(object_of(backup.id, "backup"), asdict(backup))


def strike(vault: Vault, backup: str) -> None:
    """Remove a backup. It is not listed any more before anything else of it goes."""
    vault.remove(object_of(backup, "backup"))
    for name in vault.names(f"{_TOP}{backup}"):
        vault.remove(name)


def strike_unfinished(vault: Vault) -> None:
    """Remove what backups left that were broken off. Nobody takes one meanwhile."""
    names = vault.names(_TOP)
    listed = {name.removesuffix(_LAST) for name in names if name.endswith(_LAST)}
    for name in names:
        if name.rpartition("/")[0] not in listed:
            vault.remove(name)


def kept_facts(*kept: Kept) -> dict[str, dict[str, Any]]:
    return {one.name: {"size": one.size, "sha256": one.sha256} for one in kept}
