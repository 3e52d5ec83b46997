"""A store seen through its keys: objects are written sealed and read proven."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from bursar.backups.envelope import BackupDamaged, Opened, sealed
from bursar.backups.keys import Keyring
from bursar.backups.store import Store
from bursar.kernel.errors import Conflict

INSTALLATION = "installation"

Told = TypeVar("Told")


class BackupStoreOfAnother(Conflict):
    """The store holds the backups of another database."""

    code = "backup_store_of_another"


class BackupStoreEmpty(Conflict):
    """The store has nothing of what was put there."""

    code = "backup_store_empty"


@dataclass(frozen=True, slots=True)
class Kept:
    """What was written: the object's bytes as they lie in the store, and their hash."""

    name: str
    size: int
    sha256: str


class Vault:
    """The objects of one installation's backups."""

    def __init__(self, store: Store, keys: Keyring) -> None:
        self._store = store
        self._keys = keys

    def put(self, name: str, said: dict[str, Any], content: Iterable[bytes] = ()) -> Kept:
        """Write an object. said: facts kept with it. Raises: BackupStoreFailed."""
        digest = hashlib.sha256()

        def counted() -> Iterator[bytes]:
            for chunk in sealed(name, said, content, self._keys):
                digest.update(chunk)
                yield chunk

        size = self._store.put(name, counted())
        return Kept(name, size, digest.hexdigest())

    @contextmanager
    def open(self, name: str) -> Iterator[Opened]:
        """Read an object. Raises: BackupObjectMissing, BackupDamaged, BackupKeyUnknown, BackupStoreFailed."""
        with self._store.open(name) as file:
            yield Opened(name, file.read, self._keys)

    @contextmanager
    def weigh(self, name: str) -> Iterator[tuple[Opened, Callable[[], Kept]]]:
        """Read an object as `open` does; once its content was read, tell what its bytes in the store are."""
        digest = hashlib.sha256()
        with self._store.open(name) as file:

            def read(size: int) -> bytes:
                piece = file.read(size)
                digest.update(piece)
                return piece

            yield Opened(name, read, self._keys), lambda: Kept(name, file.tell(), digest.hexdigest())

    def said(self, name: str) -> dict[str, Any]:
        """Return what the writer of an object said about it."""
        with self.open(name) as opened:
            return opened.said

    def prove(self, name: str) -> dict[str, Any]:
        """Read an object to its end and return what its writer said about it."""
        return self.proven(name)[0]

    def proven(self, name: str) -> tuple[dict[str, Any], Kept]:
        """Read an object to its end; return what its writer said about it, and its bytes as they lie in the store."""
        with self.weigh(name) as (opened, kept):
            for _ in opened.content():
                pass
            return opened.said, kept()

    def whole(self, name: str) -> bytes:
        """Return the content of a small object."""
        with self.open(name) as opened:
            return b"".join(opened.content())

    def add(self, name: str, said: dict[str, Any], content: bytes = b"") -> bool:
        """Write an object unless there is one of this name. Return whether it was written."""
        return self._store.add(name, b"".join(sealed(name, said, [content], self._keys)))

    def has(self, name: str) -> bool:
        return self._store.has(name)

    def names(self, below: str) -> list[str]:
        return self._store.names(below)

    def remove(self, name: str) -> None:
        self._store.remove(name)

    @property
    def place(self) -> str:
        """Where the store is, as people write it."""
        return self._store.place

    def tidy(self) -> None:
        self._store.tidy()

    def belongs_to(self, system: str, *, may_claim: bool) -> None:
        """Claim an empty store for a database, or refuse one of another.

        may_claim: False where there were backups before: then an empty directory is a disk that is not mounted.
        Raises: BackupStoreOfAnother, BackupStoreEmpty.
        """
        if not self.has(INSTALLATION):
            if not may_claim:
                raise BackupStoreEmpty(
                    "the backup store is empty, and there were backups before",
                    hint="Is its disk mounted? If it is meant to be a new store: bursar backup now",
                )
            self.add(INSTALLATION, {"system": system})
        owner = self.said(INSTALLATION)["system"]
        if owner != system:
            raise BackupStoreOfAnother(
                f"the backup store belongs to the database {owner}, this one is {system}",
                hint="Give each installation a BURSAR_BACKUP_STORE of its own.",
            )


def facts_of(said: dict[str, Any], read: Callable[..., Told], name: str) -> Told:
    """Read what a writer said into a type. Raises BackupDamaged: another release wrote other fields."""
    try:
        return read(**said)
    except TypeError:
        raise BackupDamaged(
            f"{name} was written by another release: {json.dumps(sorted(said))}", hint="Use that release to restore it."
        ) from None
