"""`bursar gateway`: a tenant's accounts at gateways, and the secrets that their deliveries are signed with."""

from typing import Annotated, Any

import typer

from bursar.cli.acting import ACTOR, TenantText, act, public_base, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.calls import FETCHED_KINDS, Outside, fetch_object
from bursar.money.gateways.callers import Callers
from bursar.money.intake import accounts
from bursar.money.intake.accounts import AccountView

app = typer.Typer(no_args_is_help=True, help="Add and list gateway accounts, and rotate their signing secrets.")


class KindUnknown(Invalid):
    """There is no such kind of object at a gateway."""

    code = "kind_unknown"


Secrets = Annotated[list[str] | None, typer.Option("--signing-secret", help="Signing secret; may be repeated.")]
Added = Annotated[list[str] | None, typer.Option("--add", help="Signing secret to put in force; may be repeated.")]
Removed = Annotated[list[str] | None, typer.Option("--remove", help="Signing secret to take out; may be repeated.")]


@app.command()
def add(
    tenant: TenantText,
    gateway: Annotated[str, typer.Option(help="stripe, dodo, manual or sandbox.")],
    signing_secret: Secrets = None,
    api_key: Annotated[str | None, typer.Option(help="The gateway's API key, to fetch what was not delivered.")] = None,
    data: Data = None,
    *,
    name: Annotated[str | None, typer.Option(help="What the account is called.")] = None,
    deliveries_per_minute: Annotated[
        int | None, typer.Option(help="Most deliveries taken in a minute. Left out: all.", min=1, max=1_000_000)
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the gateway is, instead of at its own address. Not in production.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add an account of a gateway, and show the address to give to the gateway."""

    async def adding(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            view = await accounts.add_account(
                tx,
                tenant_id=tenant_id,
                gateway_name=gateway,
                name=name or gateway,
                signing_secrets=signing_secret or [],
                api_key=api_key,
                tolerance_s=settings.signature_tolerance_s,
                deliveries_per_minute=deliveries_per_minute,
                base_url=base_url,
                seal=Seal(settings.secret_key),
                actor=ACTOR,
                is_production=settings.production,
            )
        return _shown(view, settings)

    added = act(data, adding)
    told = (
        "Write down what is paid: POST /v1/manual-payments"
        if gateway == "manual"
        else f"Deliver to {added['webhook_url']}"
    )
    answer(added, f"{added['id']}\n{told}", as_json=as_json)


@app.command("list")
def list_accounts(tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """List a tenant's accounts, newest first."""

    async def listing(db: Database, settings: Settings) -> list[dict[str, Any]]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await accounts.accounts(tx, tenant_id=tenant_id, page=Slice(LIMIT_MAX))
        return [_shown(view, settings) for view in found.rows]

    rows = act(data, listing)
    lines = [f"{row['id']}  {row['gateway']:<8} {row['signing_secrets']} secrets  {row['name']}" for row in rows]
    answer({"data": rows}, "\n".join(lines) or "no gateway accounts yet", as_json=as_json)


@app.command()
def rotate(
    tenant: TenantText,
    account: Annotated[str, typer.Option("--account", help="Which: gwa_…")],
    add_secret: Added = None,
    remove_secret: Removed = None,
    data: Data = None,
    *,
    api_key: Annotated[str | None, typer.Option(help="The gateway's API key from now on.")] = None,
    as_json: Json = False,
) -> None:
    """Put signing secrets in force and take others out. Both count while both are there."""

    async def rotating(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id, account_id = await tenant_of(db, tenant), ids.parse(ids.GATEWAY_ACCOUNT, account)
        async with db.tenant(tenant_id) as tx:
            view = await accounts.rotate_secrets(
                tx,
                tenant_id=tenant_id,
                account_id=account_id,
                add=add_secret or [],
                remove=remove_secret or [],
                api_key=api_key,
                seal=Seal(settings.secret_key),
                actor=ACTOR,
            )
        return _shown(view, settings)

    rotated = act(data, rotating)
    answer(rotated, f"{rotated['id']} has {rotated['signing_secrets']} signing secrets in force", as_json=as_json)


@app.command()
def fetch(
    tenant: TenantText,
    account: Annotated[str, typer.Option("--account", help="Which: gwa_…")],
    kind: Annotated[str, typer.Option("--kind", help=f"Of what kind it is: {', '.join(FETCHED_KINDS)}.")],
    ref: Annotated[str, typer.Option("--ref", help="The gateway's id of it, for instance pi_….")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Fetch one object from its gateway now and merge it, like a report that was never sent. A worker applies it."""
    named = next((each for each in FETCHED_KINDS if each == kind), None)
    if named is None:
        raise KindUnknown(f"there is no kind {kind[:60]}", hint=f"Kinds: {', '.join(FETCHED_KINDS)}.")

    async def fetching(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id, account_id = await tenant_of(db, tenant), ids.parse(ids.GATEWAY_ACCOUNT, account)
        callers = Callers()
        try:
            found = await fetch_object(
                Outside(callers.of, clock=utc_now),
                db,
                seal=Seal(settings.secret_key),
                is_production=settings.production,
                tenant_id=tenant_id,
                account_id=account_id,
                kind=named,
                ref=ref,
                actor=ACTOR,
            )
        finally:
            await callers.close()
        event = ids.show(ids.EVENT, found.event_id)
        return {"kind": found.kind, "ref": found.ref, "event": event, "reported_at": found.at.isoformat()}

    found = act(data, fetching)
    answer(found, f"{found['kind']} {found['ref']} is reported by {found['event']}", as_json=as_json)


def _shown(view: AccountView, settings: Settings) -> dict[str, Any]:
    return {
        "id": ids.show(ids.GATEWAY_ACCOUNT, view.id),
        "gateway": view.gateway,
        "name": view.name,
        "webhook_url": accounts.webhook_url(public_base(settings), view.id),
        "signing_secrets": view.signing_secrets,
        "has_api_key": view.has_api_key,
        "base_url": view.base_url,
        "is_active": view.is_active,
        "created_at": view.created_at.isoformat(),
    }
