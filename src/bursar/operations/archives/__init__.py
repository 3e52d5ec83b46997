"""Archives: everything that is kept of one tenant, in a file that another installation takes in.

It is not a backup of the installation, and not what is told to a person (`money.desk`). Format: docs/reference/tenant-archive.md.

Invariants:
- every table with a `tenant_id` is in it, or is named with the reason why not;
- no row of another tenant is in it, and none is written from it;
- it is of one instant, and its fingerprint is that of the tenant at that instant;
- one that was changed, cut off, or is of another release is refused before anything is written;
- what is imported is seen as a whole or not at all, and has the fingerprint of the archive;
- what waited to be done is done by one installation.
"""

from bursar.operations.archives.exporting import pieces
from bursar.operations.archives.importing import ArchiveWithoutSecrets, Imported, ImportForbidden, import_tenant
from bursar.operations.archives.models import (
    ArchiveDamaged,
    ArchiveOfAnother,
    ArchiveOfOtherRelease,
    Head,
    ImportDiffers,
    Manifest,
    TenantThere,
)
from bursar.operations.archives.reading import Checked, Opened, check
from bursar.operations.archives.secrets import SEALED
from bursar.operations.archives.tables import LEFT_OUT, Table, all_tables, tenant_tables

__all__ = [
    "LEFT_OUT",
    "SEALED",
    "ArchiveDamaged",
    "ArchiveOfAnother",
    "ArchiveOfOtherRelease",
    "ArchiveWithoutSecrets",
    "Checked",
    "Head",
    "ImportDiffers",
    "ImportForbidden",
    "Imported",
    "Manifest",
    "Opened",
    "Table",
    "TenantThere",
    "all_tables",
    "check",
    "import_tenant",
    "pieces",
    "tenant_tables",
]
