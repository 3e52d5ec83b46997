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

from bursar.operations.archives.exporting import EXACT, pieces
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
from bursar.operations.archives.secrets import SEALED, Row, Secrets
from bursar.operations.archives.tables import LEFT_OUT, Table, all_tables, lines_of, tenant_tables
from bursar.operations.archives.writing import write_rows

__all__ = [
    "EXACT",
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
    "Row",
    "Secrets",
    "Table",
    "TenantThere",
    "all_tables",
    "check",
    "import_tenant",
    "lines_of",
    "pieces",
    "tenant_tables",
    "write_rows",
]
