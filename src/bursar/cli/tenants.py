"""`bursar tenant`: the businesses of this installation, and the zone of each."""

from typing import Annotated

import typer

from bursar.cli import archives
from bursar.cli.acting import ACTOR, TenantText, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids, tenancy, zones
from bursar.kernel.db import Database

app = typer.Typer(no_args_is_help=True, help="Add and list tenants, say where they are, carry one elsewhere.")
app.command()(archives.export)
app.command("import")(archives.import_)


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What the business is called.")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Add a tenant, and show its first API key, once."""
    tenant_id, api_key = act(data, lambda db, _: tenancy.create_tenant(db, name=name))
    shown = ids.show(ids.TENANT, tenant_id)
    text = f"{shown}\n{api_key}\nThis is the only time the key is shown."
    answer({"id": shown, "api_key": api_key}, text, as_json=as_json)


@app.command("list")
def list_tenants(data: Data = None, *, as_json: Json = False) -> None:
    """List the tenants, oldest first."""
    found = act(data, lambda db, _: tenancy.tenants(db))
    rows = [
        {"id": ids.show(ids.TENANT, one.id), "name": one.name, "created_at": one.created_at.isoformat()}
        for one in found
    ]
    text = "\n".join(f"{row['id']}  {row['created_at'][:19]}  {row['name']}" for row in rows) or "no tenants yet"
    answer({"data": rows}, text, as_json=as_json)


@app.command("time-zone")
def time_zone(
    tenant: TenantText,
    wanted: Annotated[
        str, typer.Argument(metavar="[ZONE]", help="An IANA name like Europe/Berlin; without it, only show.")
    ] = "",
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Show or set in which zone a tenant's days begin: those of all reports, days gone by included."""

    async def working(db: Database) -> tuple[str, str]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            if wanted:
                zone = await zones.set_time_zone(tx, tenant_id=tenant_id, name=wanted, actor=ACTOR)
            else:
                zone = await zones.time_zone_of(tx, tenant_id=tenant_id)
        return ids.show(ids.TENANT, tenant_id), zone.key

    shown, zone = act(data, lambda db, _: working(db))
    answer({"id": shown, "time_zone": zone}, f"{shown}  {zone}", as_json=as_json)
