"""Whether what lies in the store is what was written, read to the end and held against the server's own manifest."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bursar.backups.catalogue import Backup
from bursar.backups.envelope import BackupDamaged
from bursar.backups.vault import Kept, Vault

SERVER_MANIFEST = "backup_manifest"
_MANIFEST_BYTES_MAX = 512 * 1024 * 1024
_PIECE = 1024 * 1024
_BLOCK = 64 * 1024
"""What tarfile reads at once. It copies the rest of a block for each read, so more is slower where files are small."""


class Flow(io.RawIOBase):
    """Pieces, read like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


@dataclass(frozen=True, slots=True)
class Base:
    """A base backup that was read to its end. manifest: the server's. plain_bytes: of all files. kept: as it lies in the store."""

    manifest: bytes
    plain_bytes: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or directory of a base backup. content: None for a directory; to be read before the next entry."""

    path: str
    content: Iterator[bytes] | None


def prove_backup(vault: Vault, backup: Backup) -> None:
    """Prove every object of a backup, each read once. Raises: BackupDamaged, BackupObjectMissing, BackupKeyUnknown."""
    if backup.is_logical:
        # What PostgreSQL's program found in these bytes was counted before it was listed.
        prove_kept(vault, backup)
        return
    base = prove_base(vault, backup.base)
    prove_kept(vault, backup, base)
    if base.manifest != vault.whole(backup.server_manifest):
        raise BackupDamaged(f"{backup.server_manifest} is not the manifest of {backup.base}")


def prove_base(vault: Vault, name: str) -> Base:
    """Read a base backup, once, and hold every file of it against the manifest the server wrote into it.

    Raises: BackupDamaged and what `Vault.open` raises.
    """
    with vault.weigh(name) as (opened, weighed):
        manifest, plain_bytes = _held(name, opened.content())
        kept = weighed()
    return Base(manifest, plain_bytes, kept)


def prove_kept(vault: Vault, backup: Backup, base: Base | None = None) -> None:
    """Prove that the bytes of every object are those that were written. base: of this backup, where it was read already."""
    for name, expected in backup.objects.items():
        kept = base.kept if base and name == backup.base else vault.proven(name)[1]
        if (kept.size, kept.sha256) != (expected["size"], expected["sha256"]):
            raise BackupDamaged(f"{name} is damaged: its bytes are not those that were written")


def unpack_base(vault: Vault, name: str, into: Path) -> None:
    """Write the files of a base backup, each held against the server's manifest as it is written. Raises what `prove_base` raises."""
    with vault.open(name) as opened:
        _held(name, opened.content(), into)


def log_range(manifest: bytes) -> tuple[int, str, str]:
    """Return timeline, start and end of the log that makes a base backup consistent."""
    ranges = json.loads(manifest)["WAL-Ranges"]
    return int(ranges[-1]["Timeline"]), str(ranges[0]["Start-LSN"]), str(ranges[-1]["End-LSN"])


def _held(name: str, content: Iterator[bytes], into: Path | None = None) -> tuple[bytes, int]:
    """Hold every file against the server's manifest; return it, and the bytes of all files. into: where they are written besides."""
    seen: dict[str, tuple[int, str]] = {}
    manifest = b""
    with ThreadPoolExecutor(1, thread_name_prefix="hashing") as hasher:
        for entry in _entries(name, content):
            if entry.content is None:
                if into:
                    (into / entry.path).mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            pieces = _written(entry.content, into / entry.path) if into else entry.content
            if entry.path == SERVER_MANIFEST:
                manifest = b"".join(pieces)
                continue
            seen[entry.path] = _hashed(pieces, hasher)
    for path, expected in _promised(name, manifest).items():
        if seen.get(path) != expected:
            raise BackupDamaged(f"{name} holds {path} not as the server's manifest says")
    return manifest, sum(size for size, _ in seen.values())


def _entries(name: str, pieces: Iterator[bytes]) -> Iterator[_Entry]:
    """Walk through a base backup. Raises: BackupDamaged, for a path that leads out of it and for links."""
    flow = io.BufferedReader(Flow(_read_ahead(pieces)), _PIECE)
    try:
        with tarfile.open(fileobj=flow, mode="r|", bufsize=_BLOCK) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # or it would remember every file of the database
                path = member.name.removeprefix("./")
                if path.startswith("/") or ".." in path.split("/"):
                    raise BackupDamaged(f"{name} holds a path that leads out of it: {path}")
                if member.isdir():
                    yield _Entry(path, None)
                elif member.isfile():
                    file = archive.extractfile(member)
                    assert file is not None
                    yield _Entry(path, iter(lambda read=file.read: read(_PIECE), b""))  # type: ignore[misc]
                else:
                    raise BackupDamaged(
                        f"{name} holds {path}, which is neither a file nor a directory",
                        hint="Tablespaces outside of the data directory are not backed up.",
                    )
    except tarfile.TarError as error:
        raise BackupDamaged(f"{name} cannot be unpacked: {error}") from None
    while flow.read(_PIECE):
        pass


def _read_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give pieces, each made by another thread while the one before it is used: opening and unpacking next to hashing and writing."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece


def _written(content: Iterator[bytes], path: Path) -> Iterator[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in content:
            file.write(piece)
            yield piece
    path.chmod(0o600)


def _hashed(content: Iterator[bytes], hasher: ThreadPoolExecutor) -> tuple[int, str]:
    """Return size and SHA-256. One piece is hashed while the next one is read."""
    digest, size, hashing = hashlib.sha256(), 0, None
    for piece in content:
        if hashing:
            hashing.result()
        hashing = hasher.submit(digest.update, piece)
        size += len(piece)
    if hashing:
        hashing.result()
    return size, digest.hexdigest()


def _promised(name: str, manifest: bytes) -> dict[str, tuple[int, str]]:
    if not 0 < len(manifest) < _MANIFEST_BYTES_MAX:
        raise BackupDamaged(f"{name} lacks the server's manifest")
    files = json.loads(manifest)["Files"]
    return {_path(file): (int(file["Size"]), str(file["Checksum"])) for file in files}


def _path(file: dict[str, Any]) -> str:
    if "Path" in file:
        return str(file["Path"])
    return bytes.fromhex(unquote(str(file["Encoded-Path"]))).decode(errors="surrogateescape")
