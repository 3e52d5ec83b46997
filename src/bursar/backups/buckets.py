"""A store in a bucket that speaks S3: Amazon's, or anybody's who offers the same. By `obstore`.

Objects are read in ranges of one version, because a whole one may take longer than any sensible timeout. Large ones
are written in parts, which become an object all at once or never.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store

from bursar.backups.store import SCHEME, BackupObjectMissing, BackupStoreFailed
from bursar.kernel.errors import Invalid

_PART_BYTES: Final = 16 * 1024 * 1024
"""A service takes 10,000 parts: 160 GB, sealed and compressed."""
_PARTS_AT_ONCE: Final = 3
_FIRST_BYTES: Final = 64 * 1024
_TIMEOUT: Final = timedelta(seconds=60)
_CONNECT: Final = timedelta(seconds=5)
_RETRIES: Final = 4
_RETRY_FOR: Final = timedelta(seconds=30)
_STATUS: Final = re.compile(r"status code: (\d{3}(?: [A-Za-z]+)*)")
_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")

_Refusals = (exceptions.BaseError, OSError, ValueError)


class BackupStoreInvalid(Invalid):
    """The address of the backup store cannot be one."""

    code = "backup_store_invalid"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket is, and who we are there. Empty: as the environment or the machine says (`AWS_…`)."""

    address: str
    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""

    def __repr__(self) -> str:
        return f"Bucket({self.address})"


class BucketStore:
    """Objects below a prefix of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        parts = urlsplit(bucket.address)
        if not bucket.address.startswith(SCHEME) or not parts.netloc or "@" in parts.netloc or parts.query:
            raise BackupStoreInvalid(
                "the address of the backup store is none",
                hint="It looks like s3://bucket/prefix; credentials have settings of their own.",
            )
        self.place = f"{SCHEME}{parts.netloc}/{parts.path.strip('/')}"
        given = {
            "endpoint": bucket.endpoint,
            "region": bucket.region or ("us-east-1" if bucket.endpoint else ""),
            "access_key_id": bucket.access_key,
            "secret_access_key": bucket.secret_key,
        }
        config: Any = {name: value for name, value in given.items() if value}
        try:
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=config,
                client_options={
                    "timeout": _TIMEOUT,
                    "connect_timeout": _CONNECT,
                    "allow_http": bucket.endpoint.startswith("http://"),
                },
                retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
            )
        except _Refusals as error:
            raise BackupStoreInvalid(
                f"the backup store cannot be used: {_cause(error)}", hint="Look at the settings BURSAR_BACKUP_S3_…."
            ) from None

    def put(self, name: str, chunks: Iterable[bytes]) -> int:
        counted = _Counted(chunks)
        try:
            head = counted.up_to(_PART_BYTES)
            if counted.is_over:
                obstore.put(self._store, name, head, use_multipart=False)
            else:
                whole = chain([head], counted)
                obstore.put(self._store, name, whole, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        except _Refusals as error:
            counted.reraise()
            self._refuse(error)
        return counted.size

    def add(self, name: str, content: bytes) -> bool:
        try:
            obstore.put(self._store, name, content, mode="create", use_multipart=False)
        except exceptions.AlreadyExistsError:
            return False
        except _Refusals as error:
            self._refuse(error)
        return True

    @contextmanager
    def open(self, name: str) -> Iterator["_Ranges"]:
        yield _Ranges(self, name)

    def has(self, name: str) -> bool:
        try:
            obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        except _Refusals as error:
            self._refuse(error)
        return True

    def names(self, below: str) -> list[str]:
        try:
            listed = obstore.list(self._store, prefix=below.rstrip("/"))
            return sorted(str(one["path"]) for some in listed for one in some)
        except _Refusals as error:
            self._refuse(error)

    def remove(self, name: str) -> None:
        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except _Refusals as error:
            self._refuse(error)

    def tidy(self) -> None:
        """Nothing: what a writer left is no object, and a rule of the bucket removes parts that became none."""

    def part(self, name: str, begin: int, size: int, version: str | None) -> tuple[bytes, int, str | None]:
        """Return a range of an object, the size of the whole, and which version of it this is."""
        options: Any = {"range": (begin, begin + size)}
        if version:
            options["if_match"] = version
        try:
            answer = obstore.get(self._store, name, options=options)
            return bytes(answer.bytes()), int(answer.meta["size"]), answer.meta["e_tag"]
        except FileNotFoundError:
            raise BackupObjectMissing(f"{name} is missing in {self.place}") from None
        except exceptions.PreconditionError:
            raise BackupStoreFailed(
                f"{name} was replaced in {self.place} while it was read", hint="Try again."
            ) from None
        except _Refusals as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        raise BackupStoreFailed(
            f"the backup store {self.place} refuses: {_cause(error)}",
            hint="Look at the bucket, at BURSAR_BACKUP_S3_ENDPOINT, and whether its credentials still hold.",
        ) from None


class _Ranges:
    """An object's bytes, range after range of the version that was first seen."""

    def __init__(self, store: BucketStore, name: str) -> None:
        self._store = store
        self._name = name
        self._at = 0
        self._fetched, self._size, self._version = store.part(name, 0, _FIRST_BYTES, None)
        self._begins = 0

    def read(self, size: int, /) -> bytes:
        if self._at >= self._size:
            return b""
        if self._at >= self._begins + len(self._fetched):
            self._begins = self._at
            wanted = min(_PART_BYTES, self._size - self._at)
            self._fetched, _, _ = self._store.part(self._name, self._at, wanted, self._version)
        within = self._at - self._begins
        found = self._fetched[within : within + size]
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at


class _Counted:
    """Chunks, counted. What their maker raised is raised to whoever puts them, not what the library makes of it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._raised: Exception | None = None
        self.size = 0
        self.is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self.is_over = True
            raise
        except Exception as error:
            self._raised = error
            raise
        self.size += len(chunk)
        return chunk

    def up_to(self, size: int) -> bytes:
        """Return chunks until there are so many bytes, or no more."""
        found = bytearray()
        while len(found) < size and (chunk := next(self, None)) is not None:
            found += chunk
        return bytes(found)

    def reraise(self) -> None:
        if self._raised is not None:
            raise self._raised


def _cause(error: Exception) -> str:
    """Return what a service said, without what it may repeat of our request."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    if status or code:
        return " ".join(found[1] for found in (status, code) if found)
    return text.partition("\n")[0].partition("<")[0].strip()[:300] or type(error).__name__
