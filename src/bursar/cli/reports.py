"""`bursar reports`: the sums that reports read, made again from what they sum."""

from typing import Annotated
from uuid import UUID

import typer

from bursar.cli.acting import ACTOR, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.money import reports

app = typer.Typer(no_args_is_help=True, help="Make the sums that reports read again from the payments.")


class TenantOrAll(Invalid):
    """It is said for one tenant or for all, not for none and not for both."""

    code = "tenant_or_all"


@app.callback()
def group() -> None:
    """Keep `rebuild` a command of its own, although it is the only one."""


@app.command()
def rebuild(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose: ten_…")] = "",
    data: Data = None,
    *,
    all_tenants: Annotated[bool, typer.Option("--all", help="Of every tenant.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the sums of payments to what the payments say. It may run while events are applied, and as often as one likes."""
    if bool(tenant) == all_tenants:
        raise TenantOrAll("say whose sums to rebuild", hint="Give --tenant ten_…, or --all.")

    async def rebuilding(db: Database) -> dict[str, int]:
        found = [one.id for one in await tenancy.tenants(db)] if all_tenants else [await tenant_of(db, tenant)]
        return {ids.show(ids.TENANT, tenant_id): await _rebuilt(db, tenant_id) for tenant_id in found}

    wrong = act(data, lambda db, _: rebuilding(db))
    text = "\n".join(f"{shown}  {rows} sums were wrong and are right now" for shown, rows in wrong.items())
    rows = [{"tenant": shown, "rows_put_right": rows} for shown, rows in wrong.items()]
    answer({"data": rows}, text or "no tenants yet", as_json=as_json)


async def _rebuilt(db: Database, tenant_id: UUID) -> int:
    async with db.tenant(tenant_id) as tx:
        return await reports.rebuild_tallies(tx, tenant_id=tenant_id, actor=ACTOR)
