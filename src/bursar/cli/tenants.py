"""`bursar tenant`: the businesses of this installation."""

from typing import Annotated

import typer

from bursar.cli.acting import act
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids, tenancy

app = typer.Typer(no_args_is_help=True, help="Add and list tenants.")


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
