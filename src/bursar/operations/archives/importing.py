"""One tenant's rows into another database: all in one transaction, by the roles that may, held against the archive before it is kept.

The tenant keeps its id. Gateways' addresses, API keys, links and the audit trail name it, so it cannot stand twice in one
database; beside the living one means a database of its own.

As a copy it acts on nobody: gateway accounts and alert channels are switched off and what waits to be done waits for ever. Who takes over gets
everything as it was, and the other installation must be off.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from bursar.kernel import audit
from bursar.kernel.db import Transaction, become_engine, become_tenant, tenant_transaction
from bursar.kernel.errors import Forbidden
from bursar.kernel.seal import Seal
from bursar.money.trail import check_chain, continue_from
from bursar.operations.archives.exporting import EXACT
from bursar.operations.archives.models import (
    TOLD_ROWS,
    ArchiveDamaged,
    ArchiveOfAnother,
    ArchiveOfOtherRelease,
    ImportDiffers,
    Tell,
    TenantThere,
)
from bursar.operations.archives.reading import Checked, Opened, Walk
from bursar.operations.archives.secrets import Row, Secrets, has_secrets
from bursar.operations.archives.tables import Table, tenant_tables
from bursar.operations.archives.writing import write_rows
from bursar.operations.fingerprint import fingerprint_within

_SCHEMA = "select max(version) from bursar_migration"
_THERE = "select true from tenant where tenant_id = $1"

_NEVER: Final = "9999-01-01 00:00:00+00"
"""When what waits in a copy is due."""

_OF_COPY: Final[dict[str, Row]] = {
    "alert_channel": {"is_on": "false"},
    "gateway_account": {"is_active": "false"},
    "gateway_event_queue": {"run_at": _NEVER},
    "mail_queue": {"due_at": _NEVER},
}


class ArchiveWithoutSecrets(ArchiveDamaged):
    """The archive was written to be read elsewhere: gateways' secrets and others are not in it."""

    code = "archive_without_secrets"


class ImportForbidden(Forbidden):
    """The role may not do what an import needs."""

    code = "import_forbidden"


@dataclass(frozen=True, slots=True)
class Imported:
    """rows: that were written. waiting: jobs, events and letters that wait for ever in a copy."""

    tenant_id: UUID
    rows: int
    fingerprint: str
    waiting: int


async def import_tenant(
    connection: Transaction,
    checked: Checked,
    opened: Opened,
    *,
    owner: Transaction,
    seal: Seal,
    takes_over: bool,
    actor: str,
    tell: Tell,
    expected: UUID | None = None,
) -> Imported:
    """Write a checked archive into a database where its tenant is not. All of it, or nothing, is seen afterwards.

    connection: of its own, outside any transaction; of a role that may become the tenant's and the engine's. owner: likewise, of
    the role that owns the tables. expected: whose archive it must be. Raises ArchiveOfAnother, ArchiveOfOtherRelease, ArchiveWithoutSecrets, TenantThere, ImportDiffers, ArchiveDamaged.
    """
    tenant_id = checked.tenant_id
    if expected is not None and expected != tenant_id:
        raise ArchiveOfAnother(f"the archive is of {checked.head.tenant}, {checked.head.name!r}")
    if not checked.head.has_secrets:
        raise ArchiveWithoutSecrets(
            "this archive has no secrets and cannot be imported", hint="Export it without --plain."
        )
    try:
        tables = await _tables_for(connection, checked)
        await continue_from(owner, checked.manifest.audit_reached)
        async with tenant_transaction(connection, tenant_id):
            if await connection.fetchval(_THERE, tenant_id):
                raise _there(checked)
            await connection.execute(EXACT)
            waiting = await _write(connection, tables, opened, checked, Secrets(seal), takes_over=takes_over, tell=tell)
            tell("comparing it with the archive")
            await become_tenant(connection, tenant_id)
            fingerprint = await _hold(connection, checked)
            await audit.record(
                connection,
                tenant_id=tenant_id,
                actor=actor,
                action="tenant.imported",
                subject=checked.head.tenant,
                changes={
                    "taken_at": checked.head.taken_at,
                    "rows": checked.manifest.rows,
                    "state": fingerprint,
                    "takes_over": takes_over,
                },
            )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ImportForbidden(
            f"this role may not import: {error}",
            hint="Use the address of a role that may work there as bursar_app and bursar_engine, or of the superuser.",
        ) from None
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        if getattr(error, "constraint_name", "") == "tenant_pkey":
            raise _there(checked) from error
        raise ImportDiffers(f"the database refuses a row of the archive: {error}") from None
    return Imported(tenant_id, checked.manifest.rows, fingerprint, waiting)


async def _tables_for(connection: Transaction, checked: Checked) -> list[Table]:
    """Return the tables here, if they are those of the archive. Raises ArchiveOfOtherRelease."""
    async with connection.transaction(readonly=True):
        await become_engine(connection)
        schema = await connection.fetchval(_SCHEMA)
        tables = await tenant_tables(connection)
    here = {table.name: list(table.columns) for table in tables}
    there = {name: list(told.columns) for name, told in checked.manifest.tables.items()}
    if schema != checked.head.schema or here != there:
        raise ArchiveOfOtherRelease(
            f"the archive has the schema {checked.head.schema}, the database {schema}",
            hint="Import it with the release that wrote it, then bring that database to this version.",
        )
    return tables


async def _write(
    connection: Transaction,
    tables: list[Table],
    opened: Opened,
    checked: Checked,
    secrets: Secrets,
    *,
    takes_over: bool,
    tell: Tell,
) -> int:
    """Write every table, in the order in which they refer to one another; return how much waits for ever."""
    waiting = 0
    with opened() as file:
        walk = Walk(file)
        ahead = _Ahead(walk.rows(), tell)
        for table in tables:
            waits = await _write_table(connection, table, ahead, checked, secrets, takes_over=takes_over)
            waiting += waits
        if ahead.table is not None:
            raise ArchiveDamaged(f"the rows of {ahead.table[:60]} are out of their order")
        # The file may have been exchanged since it was checked.
        if walk.checked() != checked:
            raise ArchiveDamaged("the archive was changed while it was read")
    return waiting


async def _write_table(
    connection: Transaction, table: Table, ahead: "_Ahead", checked: Checked, secrets: Secrets, *, takes_over: bool
) -> int:
    if table.name != ahead.table:
        return 0
    changes = _Changes(table.name, secrets, takes_over=takes_over)
    await (become_tenant(connection, checked.tenant_id) if table.is_written_by_tenants else become_engine(connection))
    rows = map(changes.of, ahead.of(table.name))
    done = await write_rows(connection, table, rows)
    if done != checked.manifest.tables[table.name].rows:
        raise ImportDiffers(f"of {table.name} {done} rows were written")
    return changes.waiting


async def _hold(connection: Transaction, checked: Checked) -> str:
    """Hold what was written against what was read there. Raises ImportDiffers."""
    found = (await fingerprint_within(connection, checked.tenant_id)).fingerprint
    if found != checked.manifest.fingerprint:
        raise ImportDiffers(f"the fingerprint is {found}, the archive's {checked.manifest.fingerprint}")
    chain = await check_chain(connection, tenant_id=checked.tenant_id)
    if not chain.ok:
        raise ImportDiffers(f"the audit trail is broken: {chain.faults[0].kind} {chain.faults[0].subject}")
    return found


class _Ahead:
    """Rows, and the table of the next one. tell: hears how many of a table were read."""

    def __init__(self, rows: Iterator[tuple[str, Row]], tell: Tell) -> None:
        self._rows = rows
        self._next = next(rows, None)
        self._tell = tell

    @property
    def table(self) -> str | None:
        return self._next[0] if self._next else None

    def of(self, table: str) -> Iterator[Row]:
        count = 0
        while self._next is not None and self._next[0] == table:
            yield self._next[1]
            count += 1
            if count % TOLD_ROWS == 0:
                self._tell(f"{count} rows of {table} written")
            self._next = next(self._rows, None)
        if count % TOLD_ROWS:
            self._tell(f"{count} rows of {table} written")


class _Changes:
    """What is another here: secrets are sealed anew, and a copy acts on nobody."""

    def __init__(self, table: str, secrets: Secrets, *, takes_over: bool) -> None:
        self.waiting = 0
        self._table = table
        self._secrets = secrets if has_secrets(table) else None
        self._takes_over = takes_over

    def of(self, row: Row) -> Row:
        if self._secrets is not None:
            row = self._secrets.sealed(self._table, row)
        if self._table == "job":
            row = self._job(row)
        if self._takes_over or self._table not in _OF_COPY:
            return row
        self.waiting += _NEVER in _OF_COPY[self._table].values()
        return row | _OF_COPY[self._table]

    def _job(self, row: Row) -> Row:
        """Nobody here has a lease of it: whoever had it works there."""
        if row["state"] in ("dead", "unknown"):
            return row
        if self._takes_over:
            return row if row["state"] != "running" else row | {"state": "ready", "worker": None}
        self.waiting += 1
        return row | {"state": "scheduled", "worker": None, "run_at": _NEVER}


def _there(checked: Checked) -> TenantThere:
    return TenantThere(
        f"{checked.head.tenant} is in this database already",
        hint="To look at the archive beside it, import it into a database or a directory of its own: --into.",
    )
