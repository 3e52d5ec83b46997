"""Which tables hold rows of a tenant, as the database's own catalogue tells it: a new one cannot be forgotten.

What an archive leaves out is named here, with the reason; everything else that has a `tenant_id` is in it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final
from uuid import UUID

LEFT_OUT: Final[Mapping[str, str]] = {
    "worker_bucket": "which worker has which lane now; no tenant's",
    "job_tally": "how many jobs that installation did",
    "job_tick": "the last tick of each schedule there; schedules begin anew",
    "invariant_sweep": "how far that installation has looked",
    "payment_tally": "sums of the payments, made again from them",
    "alert": "what was wrong there; what is wrong here is found here",
    "alert_history": "what was wrong there; what is wrong here is found here",
    "alert_notice": "what was told there of it",
    "session": "people sign in again",
    "visitor_session": "customers sign in again",
    "visitor_sign_in": "customers sign in again",
    "user_link": "links of letters that lead to that installation",
    "sign_in_throttle": "who tried too often to sign in there",
}

_TABLES = """
select c.relname as name,
  (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
  (select array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as types,
  (select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped) as numbered,
  coalesce((select array_agg(a.attname::text order by k.place) from pg_index i
    cross join unnest(i.indkey) with ordinality as k (number, place)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
    where i.indrelid = c.oid and i.indisprimary), '{}') as key,
  coalesce((select array_agg(distinct r.relname::text) from pg_constraint f join pg_class r on r.oid = f.confrelid
    where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid), '{}') as refers,
  has_table_privilege('bursar_app', c.oid, 'insert') as is_written_by_tenants,
  exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as has_tenant
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. columns: without generated ones; types: theirs. key: its primary key. numbered: the identity column, if it has one.

    is_written_by_tenants: a tenant's role may insert; else the engine's does.
    """

    name: str
    columns: Sequence[str]
    types: Sequence[str]
    key: Sequence[str]
    numbered: str | None
    refers: Sequence[str]
    is_written_by_tenants: bool
    has_tenant: bool

    def lines(self, condition: str) -> str:
        """Return the statement that gives a row as a line of JSON: each value as PostgreSQL writes it as text, or null."""
        names = ", ".join(f"'{name}'" for name in self.columns)
        values = ", ".join(f't."{name}"::text' for name in self.columns)
        return f'select json_object(array[{names}], array[{values}]::text[])::text as line from "{self.name}" t {condition}'

    @property
    def ordered(self) -> str:
        """The order of the primary key."""
        return "order by " + ", ".join(f't."{name}"' for name in self.key or self.columns)


async def lines_of(tx: Any, table: Table, tenant_id: UUID, *, at_once: int) -> AsyncIterator[str]:
    """Give a tenant's rows of a table as lines of JSON, in the order of keys. at_once: rows that are held in memory."""
    async for row in tx.cursor(table.lines(f"where t.tenant_id = $1 {table.ordered}"), tenant_id, prefetch=at_once):
        yield row["line"]


async def all_tables(tx: Any) -> dict[str, Table]:
    """Return every table of the schema, by name."""
    return {row["name"]: Table(**dict(row)) for row in await tx.fetch(_TABLES)}


async def tenant_tables(tx: Any) -> list[Table]:
    """Return the tables of an archive, each after those that its rows refer to."""
    kept = {name: table for name, table in (await all_tables(tx)).items() if table.has_tenant and name not in LEFT_OUT}
    order = TopologicalSorter({name: sorted(set(table.refers) & kept.keys()) for name, table in kept.items()})
    return [kept[name] for name in order.static_order()]
