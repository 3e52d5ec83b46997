"""Reading an archive: every part is held against what the end of the archive says of it, and every row against whose it is."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any, Final
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.operations.archives import tar
from bursar.operations.archives.models import (
    HEAD,
    MANIFEST,
    ArchiveDamaged,
    Head,
    Manifest,
    TableTold,
    head_of,
    manifest_of,
)
from bursar.operations.archives.secrets import Row

Opened = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens the archive's tar anew, to be read from its beginning."""

_LINE: Final = msgspec.json.Decoder(dict[str, str | None])


@dataclass(frozen=True, slots=True)
class Checked:
    """An archive that was read to its end, and is whole."""

    head: Head
    manifest: Manifest
    tenant_id: UUID


@dataclass
class _Seen:
    columns: list[str]
    rows: int = 0
    parts: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def told(self) -> TableTold:
        return TableTold(self.columns, self.rows, self.parts, self.digest.hexdigest())


def check(opened: Opened) -> Checked:
    """Read an archive to its end. Raises ArchiveDamaged, ArchiveOfOtherRelease."""
    with opened() as file:
        walk = Walk(file)
        for _ in walk.rows():
            pass
    return walk.checked()


class Walk:
    """One reading of an archive, row by row; whether it was whole is known at its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._members = tar.members(file)
        self._seen: dict[str, _Seen] = {}
        self._manifest: Manifest | None = None
        first = next(self._members, None)
        if first is None or first.name != HEAD:
            raise ArchiveDamaged(
                "this is no archive of a tenant", hint="Give the file that bursar tenant export wrote."
            )
        self.head = head_of(first.file.read())
        self.tenant_id = ids.parse(ids.TENANT, self.head.tenant)

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Give each row with the name of its table, table by table. Raises ArchiveDamaged."""
        for member in self._members:
            if self._manifest is not None:
                raise ArchiveDamaged("something follows the end of the archive")
            if member.name == MANIFEST:
                self._manifest = manifest_of(member.file.read())
                continue
            yield from self._part(member)

    def checked(self) -> Checked:
        """Hold what was read against what the archive says of itself. Raises ArchiveDamaged."""
        manifest = self._manifest
        if manifest is None:
            raise ArchiveDamaged("the archive ends too early", hint="Export it again.")
        if manifest.tenant != self.head.tenant:
            raise ArchiveDamaged("the beginning and the end of the archive are of different tenants")
        for name, promised in manifest.tables.items():
            seen = self._seen.get(name)
            if (seen.told if seen else _empty(promised)) != promised:
                raise ArchiveDamaged(f"the rows of {name} are not those that were written", hint="Export it again.")
        if extra := self._seen.keys() - manifest.tables.keys():
            raise ArchiveDamaged(f"the archive holds rows of {min(extra)[:60]}, of which it does not tell")
        return Checked(self.head, manifest, self.tenant_id)

    def _part(self, member: tar.Member) -> Iterator[tuple[str, Row]]:
        folder, _, rest = member.name.partition("/")
        table, _, number = rest.partition("/")
        last = next(reversed(self._seen), None)
        if table in self._seen and table != last:
            raise ArchiveDamaged(f"the parts of {table[:60]} do not follow one another")
        seen = self._seen.setdefault(table, _Seen([]))
        if folder != "tables" or number != f"{seen.parts + 1:06d}.ndjson":
            raise ArchiveDamaged(f"the archive holds {member.name[:100]!r} out of its order")
        seen.parts += 1
        for raw in member.file:
            seen.digest.update(raw)
            seen.rows += 1
            row = self._row(table, raw)
            seen.columns = seen.columns or list(row)
            if list(row) != seen.columns:
                raise ArchiveDamaged(f"the rows of {table[:60]} have different columns")
            yield table, row

    def _row(self, table: str, raw: bytes) -> Row:
        try:
            row = _LINE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ArchiveDamaged(f"a row of {table[:60]} cannot be read") from None
        if row.get("tenant_id") != str(self.tenant_id):
            raise ArchiveDamaged(f"a row of {table[:60]} is not of the tenant of the archive")
        return row


def _empty(promised: TableTold) -> TableTold:
    """Return what must be told of a table of which there is no part."""
    return TableTold(promised.columns, 0, 0, hashlib.sha256().hexdigest())
