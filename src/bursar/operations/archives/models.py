"""What an archive of one tenant says about itself, and why one is refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from bursar.kernel.errors import Conflict, Invalid

FORMAT: Final = "bursar-tenant-archive"
VERSION: Final = 1

HEAD: Final = "archive.json"
MANIFEST: Final = "manifest.json"

Told = TypeVar("Told")

Tell = Callable[[str], None]
"""Hears how far an export or an import is."""
TOLD_ROWS: Final = 100_000
"""Of a table so many rows are told of at a time, and then the rest."""


class ArchiveDamaged(Invalid):
    """The archive is not what was written: changed, cut off, or not one at all."""

    code = "archive_damaged"


class ArchiveOfOtherRelease(Conflict):
    """The archive has another format, or rows of another schema, than this release writes."""

    code = "archive_of_other_release"


class ArchiveOfAnother(Conflict):
    """The archive is of another tenant than the one that was expected."""

    code = "archive_of_another_tenant"


class TenantThere(Conflict):
    """The tenant of the archive is in the database already."""

    code = "tenant_there"


class ImportDiffers(Conflict):
    """What was written is not what the archive says; all of it was taken back."""

    code = "import_differs"


@dataclass(frozen=True, slots=True)
class Head:
    """What stands at the beginning. schema: version of the newest migration. taken_at: of the snapshot."""

    tenant: str
    name: str
    schema: str
    taken_at: str
    has_secrets: bool
    format: str = FORMAT
    version: int = VERSION

    def told(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True)
class TableTold:
    """What an archive says of one table. sha256: over its lines, each with its newline, through all of its parts."""

    columns: Sequence[str]
    rows: int
    parts: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands at the end: only what is named here belongs to the archive.

    fingerprint: of the tenant at that instant. audit_reached: the place in the order of writing that its audit trail has
    reached. left_out: tables of tenants that are not in it, and why.
    """

    tenant: str
    fingerprint: str
    audit_reached: int
    tables: Mapping[str, TableTold]
    left_out: Mapping[str, str]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())

    def told(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def head_of(raw: bytes) -> Head:
    """Read the beginning. Raises ArchiveDamaged, ArchiveOfOtherRelease."""
    told = _object(raw, HEAD)
    if told.get("format") != FORMAT:
        raise ArchiveDamaged("this is no archive of a tenant", hint="Give the file that bursar tenant export wrote.")
    if told.get("version") != VERSION:
        raise ArchiveOfOtherRelease(
            f"the archive has version {told.get('version')!r} of the format, this release reads {VERSION}",
            hint="Import it with the release that wrote it.",
        )
    return _read(Head, told, HEAD)


def manifest_of(raw: bytes) -> Manifest:
    """Read the end. Raises ArchiveDamaged."""
    told = _object(raw, MANIFEST)
    tables = told.get("tables")
    if not isinstance(tables, dict):
        raise ArchiveDamaged(f"{MANIFEST} of the archive names no tables")
    read = {name: _read(TableTold, table, MANIFEST) for name, table in tables.items()}
    return _read(Manifest, told | {"tables": read}, MANIFEST)


def _object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        told = json.loads(raw)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ArchiveDamaged(f"{name} of the archive cannot be read")
    return told


def _read(kind: Callable[..., Told], told: Any, name: str) -> Told:
    try:
        return kind(**told)
    except TypeError:
        raise ArchiveDamaged(f"{name} of the archive lacks a field, or has one that nobody knows") from None
