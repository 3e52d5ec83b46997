"""One tenant's rows as of one instant, read as the tenant: row-level security lets nobody else's through."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.seal import Seal
from bursar.operations.archives import tar
from bursar.operations.archives.models import HEAD, MANIFEST, TOLD_ROWS, Head, Manifest, TableTold, Tell
from bursar.operations.archives.secrets import Secrets, has_secrets
from bursar.operations.archives.tables import LEFT_OUT, Table, lines_of, tenant_tables
from bursar.operations.fingerprint import fingerprint_within
from bursar.operations.snapshots import snapshot

EXACT: Final = """
set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
set local bytea_output = 'hex'; set local extra_float_digits = 1
"""
"""Settings under which a value's text is the same everywhere."""

_PART_BYTES: Final = 4 * 1024 * 1024
_FETCHED_AT_ONCE: Final = 100

_HEAD = """
select t.name, (select max(version) from bursar_migration) as schema, now() as taken_at from tenant t where t.tenant_id = $1
"""
_REACHED = """
select greatest(
  (select max(s.ends) from audit_seal s where s.tenant_id = $1),
  (select max(a.written_in) + 1 from audit_record a where a.tenant_id = $1), 0) as reached
"""


@dataclass
class _Written:
    """One table, as far as it was written."""

    rows: int = 0
    parts: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    waiting: bytearray = field(default_factory=bytearray)

    def add(self, line: str) -> None:
        self.rows += 1
        self.waiting += line.encode()
        self.waiting += b"\n"

    def part(self, table: str, at: datetime) -> bytes:
        content = bytes(self.waiting)
        self.waiting.clear()
        self.digest.update(content)
        self.parts += 1
        return tar.member(f"tables/{table}/{self.parts:06d}.ndjson", content, at)


async def pieces(connection: Transaction, tenant_id: UUID, *, seal: Seal | None, tell: Tell) -> AsyncIterator[bytes]:
    """Give the archive, a piece at a time. seal: None leaves the secrets out.

    connection: of its own, outside any transaction (`snapshots.reading`). Raises TenantUnknown, SecretKeyWrong.
    """
    secrets, tables = Secrets(seal), {}
    async with snapshot(connection, tenant_id) as tx:
        await tx.execute(EXACT)
        told = await tx.fetchrow(_HEAD, tenant_id)
        at: datetime = told["taken_at"]
        whose = ids.show(ids.TENANT, tenant_id)
        head = Head(whose, told["name"], told["schema"], at.isoformat(), seal is not None)
        yield tar.member(HEAD, head.told(), at)
        for table in await tenant_tables(tx):
            written = _Written()
            async for line in _lines(tx, tenant_id, table, secrets):
                written.add(line)
                if written.rows % TOLD_ROWS == 0:
                    tell(f"{written.rows} rows of {table.name} read")
                if len(written.waiting) >= _PART_BYTES:
                    yield written.part(table.name, at)
            if written.waiting:
                yield written.part(table.name, at)
            if written.rows % TOLD_ROWS:
                tell(f"{written.rows} rows of {table.name} read")
            tables[table.name] = TableTold(table.columns, written.rows, written.parts, written.digest.hexdigest())
        manifest = Manifest(
            tenant=whose,
            fingerprint=(await fingerprint_within(tx, tenant_id)).fingerprint,
            audit_reached=await tx.fetchval(_REACHED, tenant_id),
            tables=tables,
            left_out=LEFT_OUT,
        )
        yield tar.member(MANIFEST, manifest.told(), at) + tar.END


async def _lines(tx: Transaction, tenant_id: UUID, table: Table, secrets: Secrets) -> AsyncIterator[str]:
    opens = has_secrets(table.name)
    async for line in lines_of(tx, table, tenant_id, at_once=_FETCHED_AT_ONCE):
        yield json.dumps(secrets.opened(table.name, json.loads(line)), ensure_ascii=False) if opens else line
