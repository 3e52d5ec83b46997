"""Read the catalogue for everything that has leaked rows past row-level security in real systems.

Each question returns the names of what is wrong; nothing is wrong when all of them return nothing.
"""

from typing import Any

APP, ENGINE = "bursar_app", "bursar_engine"

NOT_TENANTS = (
    "alert_watch",
    "backup_canary",
    "backup_damage",
    "backup_drill",
    "retention_run",
    "backup_listed",
    "backup_standing",
    "bursar_migration",
    "installation_figure",
    "operator",
    "operator_link",
    "operator_session",
    "operator_throttle",
    "slow_statement",
    "request_tally",
    "worker_bucket",
)
"""Tables that belong to the installation, not to a tenant."""

_OURS = "c.relnamespace = 'public'::regnamespace"
_TENANTS = f"{_OURS} and c.relkind in ('r', 'p') and c.relname <> all(array{list(NOT_TENANTS)})"
_HAS_TENANT = (
    "exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)"
)

QUESTIONS = {
    "a view, which reads as its owner": f"select c.relname from pg_class c where {_OURS} and c.relkind = 'v'",
    "a materialized view, which keeps rows of all tenants": f"select c.relname from pg_class c where {_OURS} and c.relkind = 'm'",
    "a foreign table": f"select c.relname from pg_class c where {_OURS} and c.relkind = 'f'",
    "a table without tenant_id": f"select c.relname from pg_class c where {_TENANTS} and not {_HAS_TENANT}",
    "a table whose tenant may be null": f"""
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
        where {_TENANTS} and not a.attnotnull""",
    "a table or partition without row-level security": f"select c.relname from pg_class c where {_TENANTS} and not c.relrowsecurity",
    "a table or partition where it is not forced": f"select c.relname from pg_class c where {_TENANTS} and not c.relforcerowsecurity",
    "a tenant's policy that is not the one": f"""
        select c.relname from pg_class c
        left join pg_policy p on p.polrelid = c.oid and p.polname = 'tenant_only'
        where {_TENANTS} and not (c.relispartition and p.oid is null) -- which denies everything
          and (p.oid is null or p.polcmd <> '*' or not p.polpermissive
          or p.polroles <> array['{APP}'::regrole::oid]
          or pg_get_expr(p.polqual, p.polrelid)
            <> '(tenant_id = (NULLIF(current_setting(''bursar.tenant''::text, true), ''''::text))::uuid)'
          or pg_get_expr(p.polwithcheck, p.polrelid) is distinct from pg_get_expr(p.polqual, p.polrelid))""",
    "a policy for anybody but the two roles": f"""
        select c.relname || '.' || p.polname from pg_policy p join pg_class c on c.oid = p.polrelid
        where {_OURS} and not (p.polname = 'tenant_only' and p.polroles = array['{APP}'::regrole::oid])
          and p.polroles <> array['{ENGINE}'::regrole::oid]""",
    "a table that its users may own": f"""
        select c.relname from pg_class c
        where {_OURS} and c.relkind in ('r', 'p')
          and (pg_has_role('{APP}', c.relowner, 'member') or pg_has_role('{ENGINE}', c.relowner, 'member'))""",
    "a role that bypasses policies": f"""
        select rolname from pg_roles where rolname in ('{APP}', '{ENGINE}')
          and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)""",
    "a function that runs as its owner": """
        select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prosecdef""",
    "a function in another schema that runs as its owner": f"""
        select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema', 'public')
          and has_function_privilege('{APP}', p.oid, 'execute')""",
    "a schema in which they may create": f"""
        select n.nspname from pg_namespace n where n.nspname !~ '^pg_(toast|temp)'
          and (has_schema_privilege('{APP}', n.oid, 'create') or has_schema_privilege('{ENGINE}', n.oid, 'create'))""",
    "a table they may truncate, reference or put triggers on": f"""
        select c.relname from pg_class c, unnest(array['{APP}', '{ENGINE}']) as r (role)
        where {_OURS} and c.relkind in ('r', 'p')
          and (has_table_privilege(role, c.oid, 'truncate') or has_table_privilege(role, c.oid, 'references')
            or has_table_privilege(role, c.oid, 'trigger'))""",
    "a table open to everybody": f"""
        select c.relname from pg_class c, aclexplode(c.relacl) as g
        where {_OURS} and c.relkind in ('r', 'p') and g.grantee = 0""",
    "a unique key that leaves the tenant out": f"""
        select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
        where {_TENANTS} and i.indisunique
          and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = any(i.indkey))""",
    "a foreign key that leaves the tenant out": f"""
        select k.conname from pg_constraint k join pg_class c on c.oid = k.conrelid
        where k.contype = 'f' and {_TENANTS}
          and not exists (
            select from unnest(k.conkey, k.confkey) as pair (own, other)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = own and a.attname = 'tenant_id'
            join pg_attribute b on b.attrelid = k.confrelid and b.attnum = other and b.attname = 'tenant_id')""",
    "a rule": f"""
        select c.relname || '.' || r.rulename from pg_rewrite r join pg_class c on c.oid = r.ev_class
        where {_OURS} and c.relkind in ('r', 'p')""",
}


async def leaks(connection: Any) -> dict[str, list[str]]:
    """Return what is wrong, by question; empty when nothing is. connection: a superuser's."""
    found = {}
    for question, sql in QUESTIONS.items():
        if names := sorted({row[0] for row in await connection.fetch(sql)}):
            found[question] = names
    return found
