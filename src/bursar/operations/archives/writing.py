"""Rows of one table into it, in one statement that every constraint and policy judges.

`copy` does not write under row-level security, so they are staged in a temporary table first.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable

from bursar.kernel.db import Transaction
from bursar.operations.archives.secrets import Row
from bursar.operations.archives.tables import Table


async def write_rows(
    connection: Transaction, table: Table, rows: Iterable[Row] | AsyncIterable[Row], *, only_missing: bool = False
) -> int:
    """Insert rows, in the role that the open transaction has; return how many were. Numbers of identity columns are given anew.

    only_missing: rows whose key is there already stay as they are.
    """
    incoming = f"incoming_{table.name}"  # a name of its own, as the driver remembers what a table is like
    staged = ", ".join(f"c{n} text" for n in range(len(table.columns)))
    await connection.execute(f'create temp table "{incoming}" ({staged}) on commit drop')
    await connection.copy_records_to_table(incoming, records=_records(table, rows))
    values = {name: f"i.c{n}::{kind}" for n, (name, kind) in enumerate(zip(table.columns, table.types, strict=True))}
    written = [name for name in table.columns if name != table.numbered]
    same = " and ".join(f't."{name}" = {values[name]}' for name in table.key)
    missing = f' where not exists (select from "{table.name}" t where {same})' if only_missing else ""
    order = f" order by {values[table.numbered]}" if table.numbered else ""
    columns = ", ".join(f'"{name}"' for name in written)
    done: str = await connection.execute(
        f'insert into "{table.name}" ({columns}) select {", ".join(values[name] for name in written)} '
        f'from "{incoming}" i{missing}{order}'
    )
    await connection.execute(f'drop table "{incoming}"')
    return int(done.rsplit(maxsplit=1)[-1])


async def _records(table: Table, rows: Iterable[Row] | AsyncIterable[Row]) -> AsyncIterator[tuple[str | None, ...]]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield tuple(row[name] for name in table.columns)
        return
    for row in rows:
        yield tuple(row[name] for name in table.columns)
