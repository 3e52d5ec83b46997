"""How an object of a backup is sealed: AES-256-GCM in chunks, each bound to the object's name and its own place.

An object has a key of its own, derived (HKDF-SHA-256) from a kept key, a random salt and the object's *name*. Each
chunk's nonce is its number and whether it is the last one. So a flipped bit, a chunk cut off, moved, left out or
taken from another object, and an object put in another's place all fail to open. Decision 0601.

    magic, u32 length of the head, head (JSON: key, salt), then chunks: u32 length, ciphertext with its tag
    chunk 0 is what the writer says about the object (JSON); the others are its content, compressed (Zstandard)
"""

import base64
import binascii
import json
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bursar.backups.keys import Keyring
from bursar.kernel.errors import Conflict

MAGIC = b"BURSAR-BACKUP-1\n"
CHUNK_BYTES = 512 * 1024
TAG_BYTES = 16
HEAD_BYTES_MAX = 1024
_LEVEL = 3
_LENGTH = struct.Struct(">I")


class BackupDamaged(Conflict):
    """An object of the store is not what was written there: changed, cut off, or another one's."""

    code = "backup_damaged"


Read = Callable[[int], bytes]
"""Gives up to so many further bytes of an object; none at its end."""


def sealed(name: str, said: dict[str, Any], content: Iterable[bytes], keys: Keyring) -> Iterator[bytes]:
    """Give the bytes of an object, compressed and sealed. said: facts kept with it."""
    salt = secrets.token_bytes(32)
    head = json.dumps({"key": keys.newest, "salt": base64.b64encode(salt).decode()}).encode()
    yield MAGIC + _LENGTH.pack(len(head)) + head
    cipher = _cipher(keys.keys[keys.newest], salt, name)
    # The facts are never the last chunk: an object without content ends with an empty one.
    yield _chunk(cipher, head, 0, json.dumps(said).encode(), is_last=False)
    place, waiting = 1, b""
    for chunk in _even(_compressed(content)):
        if waiting:
            yield _chunk(cipher, head, place, waiting, is_last=False)
            place += 1
        waiting = chunk
    yield _chunk(cipher, head, place, waiting, is_last=True)


class Opened:
    """An object being read. said: what its writer said about it, already proven. Raises: BackupDamaged, BackupKeyUnknown."""

    def __init__(self, name: str, read: Read, keys: Keyring) -> None:
        self._name = name
        self._read = read
        if self._exactly(len(MAGIC)) != MAGIC:
            raise self._damaged("it does not begin like one")
        self._head = self._exactly(self._length(HEAD_BYTES_MAX))
        key, salt = self._of_head()
        self._cipher = _cipher(keys.key(key, of=name), salt, name)
        self._place = 0
        self._is_over = False
        self.said: dict[str, Any] = json.loads(self._next(self._exactly(self._length(CHUNK_BYTES + TAG_BYTES)))[0])

    def content(self) -> Iterator[bytes]:
        """Give the content, piece by piece, each proven before it is given; the last piece proves that it is all."""
        try:
            # Bounded on both sides: zeros shrink a thousandfold, and a database has many.
            yield from zstandard.ZstdDecompressor().read_to_iter(
                cast(IO[bytes], self), read_size=CHUNK_BYTES, write_size=CHUNK_BYTES
            )
        except zstandard.ZstdError as error:
            raise self._damaged(f"its content does not unpack ({error})") from None
        if self.read(1):
            raise self._damaged("something follows its content")

    def read(self, size: int) -> bytes:  # noqa: ARG002 - the shape of a file
        """Return the next chunk of what was compressed; nothing after the last one."""
        if self._is_over:
            return b""
        chunk, self._is_over = self._next(self._exactly(self._length(CHUNK_BYTES + TAG_BYTES)))
        if self._is_over and self._read(1):
            raise self._damaged("something follows its end")
        return chunk

    def _next(self, ciphertext: bytes) -> tuple[bytes, bool]:
        for is_last in (False, True):
            try:
                plain = self._cipher.decrypt(_nonce(self._place, is_last=is_last), ciphertext, self._head)
            except InvalidTag:
                continue
            self._place += 1
            return plain, is_last
        raise self._damaged(f"its chunk {self._place} is not what was written")

    def _of_head(self) -> tuple[str, bytes]:
        try:
            head = json.loads(self._head)
            return str(head["key"]), base64.b64decode(head["salt"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise self._damaged("its head cannot be read") from None

    def _length(self, at_most: int) -> int:
        length: int = _LENGTH.unpack(self._exactly(_LENGTH.size))[0]
        if length > at_most:
            raise self._damaged("a length in it cannot be")
        return length

    def _exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            part = self._read(missing)
            if not part:
                raise self._damaged("it ends too early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _damaged(self, why: str) -> BackupDamaged:
        return BackupDamaged(
            f"{self._name} is damaged: {why}",
            hint="Use another copy of the store, or an older backup (bursar backup list).",
        )


def _cipher(key: bytes, salt: bytes, name: str) -> AESGCM:
    info = b"bursar backup object 1\0" + name.encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key))


def _nonce(place: int, *, is_last: bool) -> bytes:
    return place.to_bytes(11, "big") + bytes([is_last])


def _chunk(cipher: AESGCM, head: bytes, place: int, plain: bytes, *, is_last: bool) -> bytes:
    ciphertext = cipher.encrypt(_nonce(place, is_last=is_last), plain, head)
    return _LENGTH.pack(len(ciphertext)) + ciphertext


def _compressed(content: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    for piece in content:
        if squeezed := compressor.compress(piece):
            yield squeezed
    yield compressor.flush()


def _even(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give the same bytes in pieces of one size, the last one smaller."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)
