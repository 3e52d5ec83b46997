"""The fingerprint: the canonical state of a tenant, so that two installations can be compared by one line of text.

It names everything as the gateway does and knows no surrogate ids, arrival times, attempt counts or random keys, nor
which event happened to come first. Two tenants that received the same set of events, in any order and multiplicity,
have equal fingerprints; any difference of substance changes it.

Each table becomes sorted lines of JSON text; its digest is SHA-256 over those lines, the fingerprint over the digests.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.operations.canonical import LINES
from bursar.operations.snapshots import snapshot

_FETCHED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class TableDigest:
    """sha256: of the table's canonical lines, in order."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """fingerprint: `sha256:` and the digest over all tables."""

    fingerprint: str
    tables: dict[str, TableDigest]

    def differing(self, other: "Fingerprint") -> list[str]:
        """Return the tables in which two fingerprints differ."""
        return [name for name, digest in self.tables.items() if other.tables.get(name) != digest]

    def report(self) -> dict[str, Any]:
        """Return what `bursar fingerprint --json` prints."""
        tables = {name: {"rows": digest.rows, "sha256": digest.sha256} for name, digest in self.tables.items()}
        return {"fingerprint": self.fingerprint, "tables": tables}


async def fingerprint(connection: Transaction, tenant_id: UUID) -> Fingerprint:
    """Return the fingerprint of a tenant as of one instant.

    connection: of its own, outside any transaction (`snapshots.reading`). Raises TenantUnknown.
    """
    async with snapshot(connection, tenant_id) as tx:
        return await fingerprint_within(tx, tenant_id)


async def fingerprint_within(tx: Transaction, tenant_id: UUID) -> Fingerprint:
    """Return the fingerprint of a tenant as a transaction sees it. tx: the tenant's."""
    tables: dict[str, TableDigest] = {}
    for name in LINES:
        digest, rows = hashlib.sha256(), 0
        async for line in _lines(tx, tenant_id, name):
            digest.update(line.encode())
            digest.update(b"\n")
            rows += 1
        tables[name] = TableDigest(rows, digest.hexdigest())
    whole = "\n".join(f"{name} {digest.rows} {digest.sha256}" for name, digest in sorted(tables.items()))
    return Fingerprint("sha256:" + hashlib.sha256(whole.encode()).hexdigest(), tables)


async def lines_of(connection: Transaction, tenant_id: UUID, table: str) -> list[str]:
    """Return a table's canonical lines, to see where two fingerprints differ."""
    async with snapshot(connection, tenant_id) as tx:
        return [line async for line in _lines(tx, tenant_id, table)]


async def _lines(tx: Transaction, tenant_id: UUID, table: str) -> AsyncIterator[str]:
    async for row in tx.cursor(LINES[table], tenant_id, prefetch=_FETCHED_AT_ONCE):
        yield row["line"]
