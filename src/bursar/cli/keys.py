"""`bursar key`: a tenant's API keys."""

from datetime import datetime
from typing import Annotated, Any

import typer

from bursar.cli.acting import TenantText, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids, permissions
from bursar.kernel.access import OPERATOR, api_keys
from bursar.kernel.access.api_keys import ApiKey, ApiKeyScopesMissing
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Add, list, rotate and revoke API keys.")

KeyText = Annotated[str, typer.Option("--key", help="Which: key_…")]
Expiry = Annotated[str | None, typer.Option("--expires-at", help="Until when: 2027-01-31T12:00:00Z. Else: for good.")]


class InstantInvalid(Invalid):
    """The text is not an instant with its zone."""

    code = "instant_invalid"


@app.command()
def add(
    tenant: TenantText,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A permission, as payments:read; may be repeated.")
    ] = None,
    data: Data = None,
    *,
    expires_at: Expiry = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A network it works from; may be repeated. Else: from anywhere.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Instead of scopes: all, now and later.")] = False,
    as_json: Json = False,
) -> None:
    """Add a key, and show it, once."""
    if not (scope or everything):
        raise ApiKeyScopesMissing(
            "a key needs a scope",
            hint=f"Pass --scope, or --everything. The scopes are: {', '.join(sorted(permissions.ALL))}.",
        )

    async def adding(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            issued = await api_keys.add_key(
                tx,
                tenant_id=tenant_id,
                name=name,
                scopes=None if everything else scope,
                expires_at=_instant(expires_at),
                allowed_addresses=allow or [],
                giver=OPERATOR,
                now=utc_now(),
            )
        return _shown(issued.key) | {"key": issued.secret}

    added = act(data, adding)
    answer(added, _once(added), as_json=as_json)


@app.command("list")
def list_keys(tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """List a tenant's keys, newest first."""

    async def listing(db: Database, _: Settings) -> list[dict[str, Any]]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await api_keys.keys(tx, tenant_id=tenant_id, page=Slice(LIMIT_MAX), now=utc_now())
        return [_shown(key) for key in found.rows]

    rows = act(data, listing)
    lines = [
        f"{row['id']}  {row['status']:<8}last used {(row['last_used_at'] or 'never')[:16]:<17}{row['name']}"
        for row in rows
    ]
    answer({"data": rows}, "\n".join(lines) or "no API keys yet", as_json=as_json)


@app.command()
def rotate(
    tenant: TenantText,
    key: KeyText,
    overlap_s: Annotated[
        int, typer.Option(help="How long the old one goes on working, in seconds.", min=0, max=api_keys.OVERLAP_S_MAX)
    ] = api_keys.OVERLAP_S,
    expires_at: Expiry = None,
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Give a key a successor that may do the same, and show it, once."""

    async def rotating(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id, key_id = await tenant_of(db, tenant), ids.parse(ids.API_KEY, key)
        async with db.tenant(tenant_id) as tx:
            issued = await api_keys.rotate_key(
                tx,
                tenant_id=tenant_id,
                key_id=key_id,
                overlap_s=overlap_s,
                expires_at=_instant(expires_at),
                giver=OPERATOR,
                now=utc_now(),
            )
        return _shown(issued.key) | {"key": issued.secret}

    rotated = act(data, rotating)
    answer(rotated, _once(rotated), as_json=as_json)


@app.command()
def revoke(tenant: TenantText, key: KeyText, data: Data = None, *, as_json: Json = False) -> None:
    """Take a key out of force, within two seconds."""

    async def revoking(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id, key_id = await tenant_of(db, tenant), ids.parse(ids.API_KEY, key)
        async with db.tenant(tenant_id) as tx:
            return _shown(
                await api_keys.revoke_key(tx, tenant_id=tenant_id, key_id=key_id, giver=OPERATOR, now=utc_now())
            )

    revoked = act(data, revoking)
    answer(revoked, f"{revoked['id']} is {revoked['status']}", as_json=as_json)


def _once(issued: dict[str, Any]) -> str:
    return f"{issued['id']}\n{issued['key']}\nThis is the only time the key is shown."


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": ids.show(ids.API_KEY, key.id),
        "name": key.name,
        "scopes": sorted(permissions.ALL) if key.scopes is None else list(key.scopes),
        "is_unlimited": key.scopes is None,
        "allowed_addresses": [str(network) for network in key.allowed_addresses],
        "status": key.status,
        "expires_at": _text(key.expires_at),
        "created_at": _text(key.created_at),
        "last_used_at": _text(key.last_used_at),
        "last_used_address": key.last_used_address,
        "revoked_at": _text(key.revoked_at),
        "successor": ids.show(ids.API_KEY, key.successor_id) if key.successor_id else None,
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InstantInvalid(f"{text[:40]} is not an instant", hint="Write it with its zone: 2027-01-31T12:00:00Z.")
    return at
