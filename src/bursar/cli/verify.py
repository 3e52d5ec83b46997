"""`bursar verify`: every invariant of a tenant, or of all."""

from typing import Annotated, Any

import typer

from bursar.bootstrap import registry
from bursar.cli.acting import act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.settings import Settings
from bursar.operations.snapshots import reading
from bursar.operations.tenancy import rows_have_tenants
from bursar.operations.verify import Finding, Verified, report, standing_kinds, verify_all
from bursar.operations.verify import verify as verify_one


class TenantOrAll(Invalid):
    """Neither a tenant nor all of them were asked for, or both."""

    code = "tenant_or_all"


def verify(
    data: Data = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Check this tenant: ten_…")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Check every tenant, and the installation.")] = False,
    as_json: Json = False,
) -> None:
    """Check what must hold, row by row. Reads one snapshot, changes nothing; exits with 1 when something is broken."""
    if (tenant is None) == (not every):
        raise TenantOrAll("say which tenant, or all", hint="bursar verify --tenant ten_…, or bursar verify --all")
    verified, installation = act(data, lambda db, settings: _verified(db, settings, tenant))
    told = report(verified, installation)
    answer(told, _text(told), as_json=as_json)
    raise typer.Exit(0 if told["ok"] else 1)


async def _verified(db: Database, settings: Settings, tenant: str | None) -> tuple[list[Verified], list[Finding]]:
    kinds = standing_kinds(registry())
    async with reading(settings.database_url) as connection:
        if tenant is not None:
            return [await verify_one(connection, await tenant_of(db, tenant), standing_kinds=kinds)], []
        async with reading(settings.database_admin_url) as admin:
            everywhere = await rows_have_tenants(admin)
        return await verify_all(connection, standing_kinds=kinds), [everywhere]


def _text(told: dict[str, Any]) -> str:
    groups = [(tenant["tenant"], tenant["invariants"]) for tenant in told["tenants"]]
    groups += [("installation", told["installation"])] if told["installation"] else []
    lines = []
    for name, findings in groups:
        broken = [finding for finding in findings if not finding["ok"]]
        held = len(findings) - len(broken)
        lines.append(f"{name}: {held} of {len(findings)} invariants hold")
        for finding in broken:
            lines.append(f"  BROKEN {finding['name']}: {finding['promises']}")
            lines += [f"    {', '.join(f'{k}={v}' for k, v in row.items())}" for row in finding["offending"]]
    return "\n".join(lines) or "there are no tenants"
