"""No row without its tenant: checked over the whole installation, by a role that sees all rows."""

from bursar.kernel.db import Transaction, become_engine
from bursar.kernel.jobs import INSTALLATION
from bursar.operations.invariants import Invariant, Scope
from bursar.operations.verify import OFFENDING_MAX, Finding, found

_BYPASSES = "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"

_TABLES = """
select c.relname as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
where c.relkind in ('r', 'p') and not c.relispartition and c.relname not in ('tenant', 'worker_bucket')
  and ($1 or exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'engine_reads'))
order by c.relname
"""

_OF_THE_INSTALLATION = (
    *("job", "job_tally", "job_tick"),
    *("alert", "alert_channel", "alert_history", "alert_notice", "alert_route", "alert_rule"),
)
"""Tables with rows of the installation itself, which has no tenant, and says so."""

_HOMELESS = f"""
select '{{table}}' as table_name, t.tenant_id, count(*) as rows
from {{table}} t where not exists (select from tenant where tenant.tenant_id = t.tenant_id)
  and ('{{table}}' <> all(array{list(_OF_THE_INSTALLATION)}) or t.tenant_id <> '{INSTALLATION}')
group by t.tenant_id
"""


async def rows_have_tenants(connection: Transaction) -> Finding:
    """Return whether every row of every table belongs to a tenant that exists.

    connection: outside any transaction. A role that is bound by row-level security checks the tables that the
    engine may read; one that is not checks all of them. `checked` counts the tables.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        sees_all = bool(await connection.fetchval(_BYPASSES))
        tables = [row["name"] for row in await connection.fetch(_TABLES, sees_all)]
        if not sees_all:
            await become_engine(connection)
        invariant = Invariant(
            name="rows_have_tenants",
            promises="Every row belongs to a tenant that exists.",
            subject="tenant",
            scope=Scope.never,
            sql="\nunion all\n".join(_HOMELESS.format(table=table) for table in tables),
        )
        rows = await connection.fetch(invariant.statement(limit=OFFENDING_MAX))
    return found(invariant, rows, checked=len(tables))
