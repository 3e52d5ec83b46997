"""What a backup has and the living database has not, and the reverse: table by table, row by row, merged in the order of keys.

Both sides are read as of one instant each, and by the same role: as one tenant, or all of them as somebody who sees all.
Nothing is held in memory but the rows that are asked for.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import asyncpg

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction, become_engine, become_tenant, tenant_transaction
from bursar.kernel.errors import Conflict, Invalid, NotFound
from bursar.kernel.seal import Seal
from bursar.money import reports
from bursar.operations.archives import (
    EXACT,
    Row,
    Secrets,
    Table,
    all_tables,
    lines_of,
    tenant_tables,
    write_rows,
)
from bursar.operations.snapshots import snapshot

_FETCHED_AT_ONCE: Final = 1000
_ROWS_AT_ONCE: Final = 50
NEVER_PUT_BACK: Final = ("job", "mail_queue", "gateway_event_queue")
"""What is gone from there was done, and would be done again."""

_SEES_ALL = "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"

Key = tuple[str, ...]


class TableUnknown(NotFound):
    """There is no such table, or none of tenants where a tenant was named."""

    code = "table_unknown"


class TenantNeeded(Invalid):
    """The role sees one tenant at a time."""

    code = "tenant_needed"


class PutBackRefused(Conflict):
    """Rows of a backup do not fit what is there now."""

    code = "put_back_refused"


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is there on both sides and is not the same."""

    before: Row
    now: Row


@dataclass
class Difference:
    """One table. gone: rows that only the backup has; added: only the living database; changed: both, with other values.

    rows_…: the first of them. lacking: columns of only one side, which were not compared.
    """

    table: str
    gone: int = 0
    added: int = 0
    changed: int = 0
    rows_gone: list[Row] = field(default_factory=list)
    rows_added: list[Row] = field(default_factory=list)
    rows_changed: list[Change] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.gone or self.added or self.changed)


@asynccontextmanager
async def seeing(connection: Transaction, tenant_id: UUID | None) -> AsyncIterator[Transaction]:
    """See one tenant, or everything, as of now, in a form that is the same everywhere. Raises TenantUnknown, TenantNeeded."""
    if tenant_id is not None:
        async with snapshot(connection, tenant_id) as tx:
            await tx.execute(EXACT)
            yield tx
        return
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if not await connection.fetchval(_SEES_ALL):
            raise TenantNeeded("this role does not see all tenants", hint="Name one: --tenant ten_…")
        await connection.execute(EXACT)
        yield connection


async def tables_named(tx: Transaction, names: Sequence[str], *, of_tenant: bool) -> list[Table]:
    """Return the tables that were named, or all; each after those that it refers to. Raises TableUnknown."""
    every = await all_tables(tx)
    ordered = [table.name for table in await tenant_tables(tx)]
    known = ordered if of_tenant else [*ordered, *(name for name in every if name not in ordered)]
    if unknown := [name for name in names if name not in known]:
        raise TableUnknown(f"there is no table {', '.join(unknown)[:200]}", hint="See docs/reference/tables.md.")
    return [every[name] for name in known if not names or name in names]


async def compare(
    before: Transaction, now: Transaction, tables: Sequence[Table], *, tenant_id: UUID | None, rows_max: int
) -> list[Difference]:
    """Compare tables of a backup with the same ones now. before, now: within `seeing`. tables: as they are now.

    rows_max: of each kind and table, how many rows are told.
    """
    there = await all_tables(before)
    return [
        await _compared(before, now, there.get(table.name), table, tenant_id=tenant_id, rows_max=rows_max)
        for table in tables
    ]


async def put_back(
    backup: Transaction,
    living: Transaction,
    tables: Sequence[Table],
    *,
    tenant_id: UUID,
    seals: tuple[Seal, Seal],
    actor: str,
    origin: str,
) -> dict[str, int]:
    """Insert the rows of a tenant that only the backup has. All of them, or none; what is there stays as it is.

    backup: within `seeing`; living: outside any transaction. seals: of the backup's installation, and of this one. origin: which backup.
    Raises PutBackRefused.
    """
    if done := [one.name for one in tables if one.name in NEVER_PUT_BACK]:
        raise PutBackRefused(
            f"rows of {', '.join(done)} are not put back: they are gone because their work was done",
            hint="See bursar jobs list, and bursar events list.",
        )
    there = await all_tables(backup)
    if other := [one.name for one in tables if one.name not in there or there[one.name].columns != one.columns]:
        raise PutBackRefused(
            f"the backup has other columns of {', '.join(other)[:200]}",
            hint="Restore it with the release that wrote it.",
        )
    try:
        return await _put_back(backup, living, tables, tenant_id, seals, actor=actor, origin=origin)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError) as error:
        raise PutBackRefused(
            f"the database refuses a row of the backup, and nothing was put back: {error}",
            hint="Name the tables that it refers to as well, or look at both rows with --rows.",
        ) from None


async def _put_back(
    backup: Transaction,
    living: Transaction,
    tables: Sequence[Table],
    tenant_id: UUID,
    seals: tuple[Seal, Seal],
    *,
    actor: str,
    origin: str,
) -> dict[str, int]:
    opening, sealing = map(Secrets, seals)
    done = {}
    async with tenant_transaction(living, tenant_id):
        await living.execute(EXACT)
        for table in tables:

            async def missing(table: Table = table) -> AsyncIterator[Row]:
                async for line in rows_of(backup, table, tenant_id):
                    yield sealing.sealed(table.name, opening.opened(table.name, json.loads(line)))

            await (become_tenant(living, tenant_id) if table.is_written_by_tenants else become_engine(living))
            done[table.name] = await write_rows(living, table, missing(), only_missing=True)
        await become_tenant(living, tenant_id)
        if "payment" in done:
            # The sums of the payments were added to by them, and had not been lessened by whoever deleted them by hand.
            await reports.rebuild_tallies(living, tenant_id=tenant_id, actor=actor)
        await audit.record(
            living,
            tenant_id=tenant_id,
            actor=actor,
            action="tenant.rows_put_back",
            subject=ids.show(ids.TENANT, tenant_id),
            changes={"backup": origin, "rows": {name: count for name, count in done.items() if count}},
        )
    return done


def rows_of(tx: Transaction, table: Table, tenant_id: UUID) -> AsyncIterator[str]:
    """Give a tenant's rows of a table as lines of JSON, in the order of keys. tx: within `seeing`."""
    return lines_of(tx, table, tenant_id, at_once=_ROWS_AT_ONCE)


async def _compared(
    before: Transaction, now: Transaction, was: Table | None, table: Table, *, tenant_id: UUID | None, rows_max: int
) -> Difference:
    found = Difference(table.name)
    shared = [name for name in table.columns if was is None or name in was.columns]
    found.lacking = sorted(set(table.columns) ^ set(was.columns if was else table.columns))
    statement = _keyed(table, shared, is_of_tenant=tenant_id is not None)
    given = () if tenant_id is None else (tenant_id,)
    then = _keys(before, statement, given) if was else _nothing()
    gone, added, changed = _Counted(rows_max), _Counted(rows_max), _Counted(rows_max)
    async for key, is_before, is_now in _merged(then, _keys(now, statement, given)):
        (changed if is_before and is_now else gone if is_before else added).add(key)
    found.gone, found.added, found.changed = gone.count, added.count, changed.count
    if was:
        found.rows_gone = await _rows(before, was, gone.keys)
    found.rows_added = await _rows(now, table, added.keys)
    if was and changed.keys:
        old, new = await _rows(before, was, changed.keys), await _rows(now, table, changed.keys)
        found.rows_changed = [Change(*pair) for pair in zip(old, new, strict=True)]
    return found


class _Counted:
    """Rows of a kind: how many there are, and the keys of the first."""

    def __init__(self, keys_max: int) -> None:
        self.count = 0
        self.keys: list[Key] = []
        self._keys_max = keys_max

    def add(self, key: Key) -> None:
        self.count += 1
        if len(self.keys) < self._keys_max:
            self.keys.append(key)


def _keyed(table: Table, columns: Sequence[str], *, is_of_tenant: bool) -> str:
    """Return the statement that gives key and digest of every row, in an order that is the same in every database."""
    key = [f'coalesce(t."{name}"::text, \'\') collate "C"' for name in table.key or columns]
    told = ", ".join(f't."{name}"::text' for name in columns)
    whose = "where t.tenant_id = $1 " if is_of_tenant else ""
    return (
        f"select array[{', '.join(key)}] as key, sha256(convert_to(row({told})::text, 'UTF8')) as digest "
        f'from "{table.name}" t {whose}order by {", ".join(key)}'
    )


async def _keys(tx: Transaction, statement: str, given: tuple[Any, ...]) -> AsyncIterator[tuple[Key, bytes]]:
    async for row in tx.cursor(statement, *given, prefetch=_FETCHED_AT_ONCE):
        yield tuple(row["key"]), row["digest"]


async def _nothing() -> AsyncIterator[tuple[Key, bytes]]:
    for _ in ():
        yield (), b""


async def _merged(
    before: AsyncIterator[tuple[Key, bytes]], now: AsyncIterator[tuple[Key, bytes]]
) -> AsyncIterator[tuple[Key, bool, bool]]:
    """Give the keys that are not alike on both sides, and on which they are. Both come in one order."""
    old, new = await anext(before, None), await anext(now, None)
    while old or new:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield old[0], True, False
            old = await anext(before, None)
        elif old is None or new[0] < old[0]:
            yield new[0], False, True
            new = await anext(now, None)
        else:
            if old[1] != new[1]:
                yield old[0], True, True
            old, new = await anext(before, None), await anext(now, None)


async def _rows(tx: Transaction, table: Table, keys: Sequence[Key]) -> list[Row]:
    """Return the rows of some keys, in their order."""
    if not keys:
        return []
    names = table.key or table.columns
    types = dict(zip(table.columns, table.types, strict=True))
    given = ", ".join(f"${n}::text[]" for n in range(1, len(names) + 1))
    named = ", ".join(f"k{n}" for n in range(len(names)))
    same = " and ".join(f't."{name}" = k.k{n}::{types[name]}' for n, name in enumerate(names))
    rows = await tx.fetch(
        table.lines(f"join unnest({given}) with ordinality as k ({named}, place) on {same} order by k.place"),
        *[list(column) for column in zip(*keys, strict=True)],
    )
    return [json.loads(row["line"]) for row in rows]
