"""`bursar doctor`: what is wrong with an installation, and what to do about it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import typer

from bursar import health
from bursar.bootstrap import kinds
from bursar.cli.connection import instance
from bursar.cli.options import Data, Json, answer
from bursar.kernel import jobs, migrations
from bursar.kernel.db import ENGINE_ROLE, TENANT_ROLE, Database
from bursar.kernel.errors import DomainError
from bursar.kernel.http.addresses import networks
from bursar.kernel.oidc.fetching import fetch_json
from bursar.kernel.oidc.key_sets import DISCOVERY
from bursar.kernel.settings import Settings

_POSTGRES_MIN = 150_000
_ISSUERS_MAX = 10
_ISSUERS_S = 10.0
_MIGRATE = "Run bursar migrate."
_SESSION = {
    "application_name": "bursar-doctor",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
}
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

_PRIVILEGES = """
select
  r.rolsuper as is_superuser,
  r.rolbypassrls as bypasses_policies,
  pg_has_role(r.oid, $1, 'member') as acts_for_tenants,
  pg_has_role(r.oid, $2, 'member') as acts_for_engine
from pg_roles r
where r.rolname = session_user"""

_UNPROTECTED = """
select c.relname
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull
where c.relnamespace = 'public'::regnamespace
  and c.relkind in ('r', 'p')
  and not c.relispartition
  and not (c.relrowsecurity and c.relforcerowsecurity)
order by c.relname"""


_SOME_ISSUERS = (
    f"select distinct issuer from identity_issuer where removed_at is null order by issuer limit {_ISSUERS_MAX}"
)

_NEEDED = ("schema", "roles")
"""Without these nothing else can be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do where it is not well."""

    check: str
    ok: bool
    found: str
    advice: str = ""


Check = Callable[[Any, Settings], Awaitable[Finding]]

_CONNECT_S: Final = 10
_UNREACHABLE: Final = (
    "See whether PostgreSQL runs and what its log says (embedded: postgres.log in the data directory). "
    "Start it, or correct BURSAR_DATABASE_URL."
)


def doctor(data: Data = None, *, as_json: Json = False) -> None:
    """Check the database, its schema, durability and roles, and every part of /health; say what is wrong and what to do."""
    with instance(data) as settings:
        findings = asyncio.run(examine(settings))
    ok = all(finding.ok for finding in findings)
    # Advice is for what is not well.
    checks = [asdict(f) | {"advice": "" if f.ok else f.advice} for f in findings]
    answer({"ok": ok, "checks": checks}, "\n".join(map(_line, findings)), as_json=as_json)
    raise typer.Exit(0 if ok else 1)


async def examine(settings: Settings) -> list[Finding]:
    """Return every finding; only the first one when the database cannot be reached."""
    try:
        connection = await asyncpg.connect(settings.database_direct_url, timeout=_CONNECT_S, server_settings=_SESSION)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        why = str(error) or f"it takes the connection and does not answer within {_CONNECT_S} s"
        return [Finding("database", ok=False, found=why, advice=_UNREACHABLE)]
    try:
        found = [Finding("database", ok=True, found="reachable"), *[await ask(connection, settings) for ask in _CHECKS]]
    finally:
        await connection.close(timeout=10)
    if all(finding.ok for finding in found if finding.check in _NEEDED):
        found += await _parts(settings)
    return found


async def _parts(settings: Settings) -> list[Finding]:
    """Return what `/health` shows, and whether each identity provider answers now."""
    db = await Database.open(settings.database_url, size=2)
    try:
        parts = await health.current_parts(jobs.Resources(db, settings), kinds())
        async with db.engine() as tx:
            issuers = [row["issuer"] for row in await tx.fetch(_SOME_ISSUERS)]
    finally:
        await db.close()
    found = [_of_part(part) for part in parts if part.name != "sign_in"]
    return [*found, await _issuers(issuers, settings)]


def _of_part(part: health.Part) -> Finding:
    figures = ", ".join(f"{name} {value:g}" for name, value in part.figures.items())
    return Finding(part.name, part.status == "healthy", part.detail or figures or "nothing to tell", part.advice)


async def _issuers(issuers: Sequence[str], settings: Settings) -> Finding:
    """Ask some for their description, all at once and not for long."""
    faults = await asyncio.gather(*(_fault_of(issuer, settings) for issuer in issuers))
    silent = [fault for fault in faults if fault]
    found = "; ".join(silent) or (f"{len(issuers)} answer" if issuers else "none are set")
    advice = "See their own status and this machine's way to them; their last keys count for a day."
    return Finding("identity providers", not silent, found, advice)


async def _fault_of(issuer: str, settings: Settings) -> str:
    try:
        async with asyncio.timeout(_ISSUERS_S):
            await fetch_json(issuer.rstrip("/") + DISCOVERY, permitted=networks(settings.issuer_networks))
    except DomainError as refusal:
        return f"{issuer}: {refusal.message}"
    except TimeoutError:
        return f"{issuer}: no answer within {_ISSUERS_S:g} s"
    return ""


async def _version(connection: Any, _: Settings) -> Finding:
    number = int(await connection.fetchval("select current_setting('server_version_num')"))
    found = f"PostgreSQL {await connection.fetchval('show server_version')}"
    return Finding("version", number >= _POSTGRES_MIN, found, "Upgrade the server to PostgreSQL 15 or newer.")


async def _schema(connection: Any, _: Settings) -> Finding:
    try:
        await migrations.require_current(connection)
    except DomainError as refusal:
        return Finding("schema", ok=False, found=refusal.message, advice=refusal.hint)
    return Finding("schema", ok=True, found="current")


async def _durability(connection: Any, _: Settings) -> Finding:
    values = {name: await connection.fetchval("select current_setting($1)", name) for name in _DURABLE}
    off = [name for name, value in values.items() if value in ("off", "local")]
    found = ", ".join(f"{name} {value}" for name, value in values.items())
    return Finding("durability", not off, found, f"Turn on {', '.join(off)}: what is acknowledged may be lost.")


async def _roles(connection: Any, _: Settings) -> Finding:
    known = await connection.fetchval(
        "select count(*) from pg_roles where rolname = any($1)", [TENANT_ROLE, ENGINE_ROLE]
    )
    if known < 2:  # noqa: PLR2004 - the two of them
        return Finding("roles", ok=False, found="the roles do not exist", advice=_MIGRATE)
    row = await connection.fetchrow(_PRIVILEGES, TENANT_ROLE, ENGINE_ROLE)
    if not (row["acts_for_tenants"] and row["acts_for_engine"]):
        return Finding("roles", ok=False, found="the login may not act as Bursar's roles", advice=_MIGRATE)
    if row["is_superuser"] or row["bypasses_policies"]:
        advice = "Let BURSAR_DATABASE_URL name an ordinary role, and BURSAR_DATABASE_ADMIN_URL this one."
        return Finding("roles", ok=False, found="the login bypasses row-level security", advice=advice)
    return Finding("roles", ok=True, found="the login owns nothing and acts as Bursar's roles")


async def _policies(connection: Any, _: Settings) -> Finding:
    open_tables = [row["relname"] for row in await connection.fetch(_UNPROTECTED)]
    found = f"not forced on {', '.join(open_tables)}" if open_tables else "forced on every tenant table"
    return Finding("row-level security", not open_tables, found, "Restore the schema: bursar migrate, or a backup.")


async def _secret(_: Any, settings: Settings) -> Finding:
    path = settings.data / "secret.key"
    mode = await asyncio.to_thread(_mode_of, path)
    ok = mode is None or mode & 0o077 == 0
    found = "from the environment" if mode is None else f"in {path}"
    return Finding("secret key", ok, found, f"chmod 600 {path}")


def _mode_of(path: Path) -> int | None:
    return path.stat().st_mode if path.exists() else None


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.ok else "BAD "
    return f"{mark} {finding.check}: {finding.found}" + ("" if finding.ok else f"\n     {finding.advice}")


_CHECKS: tuple[Check, ...] = (_version, _schema, _durability, _roles, _policies, _secret)
