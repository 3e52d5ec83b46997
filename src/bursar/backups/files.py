"""Single files sealed as the objects of a store are: for what is carried from one installation to another."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from bursar.backups.envelope import MAGIC, Opened, sealed
from bursar.backups.keys import Keyring
from bursar.backups.proving import Flow
from bursar.kernel.errors import NotFound

_BUFFER: Final = 1024 * 1024


class SealedFileMissing(NotFound):
    """There is no such file."""

    code = "sealed_file_missing"


def seal_file(purpose: str, said: dict[str, Any], content: Iterable[bytes], keys: Keyring) -> Iterator[bytes]:
    """Give the bytes of a sealed file. purpose: without it, it does not open; said: facts kept with it."""
    return sealed(purpose, said, content, keys)


def is_sealed(path: Path) -> bool:
    """Return whether a file begins like a sealed one. Raises: SealedFileMissing."""
    with _opened(path) as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def open_sealed(path: Path, purpose: str, keys: Keyring) -> Iterator[IO[bytes]]:
    """Read what is in a sealed file. Raises: SealedFileMissing, BackupDamaged, BackupKeyUnknown; the first two while reading too."""
    with _opened(path) as file:
        opened = Opened(purpose, file.read, keys)
        yield io.BufferedReader(Flow(opened.content()), _BUFFER)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise SealedFileMissing(f"there is no file {path}") from None
    with file:
        yield file
