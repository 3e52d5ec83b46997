"""Where the objects of backups lie: named files that are written whole or not at all."""

import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from bursar.kernel.errors import NotFound, Unavailable
from bursar.kernel.files import sync_directory

SCHEME = "s3://"
"""How the address of a bucket begins."""

_ABANDONED_S = 3600


class BackupObjectMissing(NotFound):
    """The store lacks an object that is needed."""

    code = "backup_object_missing"


class BackupStoreFailed(Unavailable):
    """The store cannot be read or written."""

    code = "backup_store_failed"


class Content(Protocol):
    """An object's bytes, from their beginning."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many further bytes; none at the end. Raises: BackupStoreFailed."""

    def tell(self) -> int:
        """Return how many were read."""


class Store(Protocol):
    """What a store must do. Names are paths of letters, digits, `-`, `_` and `.`, with slashes."""

    @property
    def place(self) -> str:
        """Where it is, as people write it. Never a secret."""

    def put(self, name: str, chunks: Iterable[bytes]) -> int:
        """Keep an object, replacing an older one in one step, durably. Return its bytes."""

    def add(self, name: str, content: bytes) -> bool:
        """Keep an object unless there is one of this name; of two who try at once one does. Return whether it was kept."""

    def open(self, name: str) -> AbstractContextManager[Content]:
        """Give an object's bytes. Raises: BackupObjectMissing, BackupStoreFailed."""

    def has(self, name: str) -> bool:
        """Return whether there is such an object."""

    def names(self, below: str) -> list[str]:
        """Return the names of objects below a path, sorted."""

    def remove(self, name: str) -> None:
        """Remove an object; it may be gone already."""

    def tidy(self) -> None:
        """Remove what writers left that died an hour ago or earlier."""


class DirectoryStore:
    """A directory, best on another machine's disk."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def place(self) -> str:
        return str(self.root)

    def put(self, name: str, chunks: Iterable[bytes]) -> int:
        with self._waiting(name) as (waiting, path):
            size = _written(waiting, chunks)
            waiting.replace(path)
            sync_directory(path.parent)
        return size

    def add(self, name: str, content: bytes) -> bool:
        with self._waiting(name) as (waiting, path):
            _written(waiting, [content])
            try:
                path.hardlink_to(waiting)
            except FileExistsError:
                return False
            sync_directory(path.parent)
        return True

    @contextmanager
    def open(self, name: str) -> Iterator["_File"]:
        try:
            file = (self.root / name).open("rb")
        except FileNotFoundError:
            raise BackupObjectMissing(f"{name} is missing in {self.root}") from None
        except OSError as error:
            raise _failed(self.root, error) from error
        with file:
            yield _File(self.root, file)

    def has(self, name: str) -> bool:
        try:
            return stat.S_ISREG((self.root / name).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _failed(self.root, error) from error

    def names(self, below: str) -> list[str]:
        top = self.root / below
        found = [path for path in top.rglob("*") if not path.name.startswith(".") and path.is_file()]
        return sorted(str(path.relative_to(self.root)) for path in found)

    def remove(self, name: str) -> None:
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
            if path.parent != self.root and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(self.root, error) from error

    def tidy(self) -> None:
        for path in self.root.rglob(".*"):
            if path.is_file() and time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink(missing_ok=True)

    @contextmanager
    def _waiting(self, name: str) -> Iterator[tuple[Path, Path]]:
        """Give where to write an object, and where it belongs. What is left beside it when the block ends goes."""
        path = self.root / name
        waiting = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._make(path.parent)
            yield waiting, path
        except OSError as error:
            raise _failed(self.root, error) from error
        finally:
            with suppress(OSError):
                waiting.unlink(missing_ok=True)

    def _make(self, directory: Path) -> None:
        if not directory.exists():
            directory.mkdir(parents=True, mode=0o700)
            sync_directory(directory.parent)


class _File:
    """A file whose disk may fail while it is read."""

    def __init__(self, root: Path, file: BinaryIO) -> None:
        self._root = root
        self._file = file

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise _failed(self._root, error) from error

    def tell(self) -> int:
        return self._file.tell()


def _written(path: Path, chunks: Iterable[bytes]) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _failed(root: Path, error: OSError) -> BackupStoreFailed:
    return BackupStoreFailed(
        f"the backup store {root} refuses: {error.strerror or error}", hint="Look at its disk and its owner."
    )
