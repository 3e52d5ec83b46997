"""Routes of API keys."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request

from bursar.kernel import permissions
from bursar.kernel.access import api_keys
from bursar.kernel.access.api_keys import ApiKey, IssuedKey
from bursar.kernel.auth import Caller, CallerOf, Keys, TenantRoute, needs
from bursar.kernel.http import Input, Instant, Key, Name, Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import ApiKeyId
from bursar.kernel.listing import Part

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["API keys"])

KeyPath = Annotated[ApiKeyId, Path()]


class ApiKeyView(View):
    """An API key, without its secret."""

    id: ApiKeyId
    name: str = Field(examples=["web shop"])
    scopes: list[str] = Field(description="What it may do.", examples=[["payments:read"]])
    is_unlimited: bool = Field(description="Whether it may do whatever there is, also what later versions add.")
    allowed_addresses: list[str] = Field(description="Networks it works from; none: from anywhere.")
    status: api_keys.Status
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    last_used_address: str | None
    revoked_at: datetime | None
    successor: ApiKeyId | None = Field(description="The key that it was rotated to.")


class IssuedKeyView(ApiKeyView):
    """A key that was just made. This is the only time its secret is shown."""

    key: str = Field(description="The secret: the whole text to send as bearer token. Keep it now.")


class NewApiKey(Input):
    name: Name
    scopes: list[Key] = Field(min_length=1, max_length=200, examples=[["payments:read", "customers:read"]])
    expires_at: Instant | None = None
    allowed_addresses: list[Key] = Field(
        default_factory=list, max_length=api_keys.ADDRESSES_MAX, examples=[["203.0.113.0/24"]]
    )


class KeyRotation(Input):
    overlap_s: int = Field(
        default=api_keys.OVERLAP_S,
        ge=0,
        le=api_keys.OVERLAP_S_MAX,
        description="How long the old key goes on working, in seconds.",
    )
    expires_at: Instant | None = Field(default=None, description="Of the successor; else as the old key's.")


@router.get("/api-keys")
@needs("keys:read")
async def list_api_keys(caller: CallerOf, filters: Annotated[PageFilters, Query()]) -> Page[ApiKeyView]:
    """List the tenant's keys, those too that are no longer in force."""
    async with caller.transaction() as tx:
        found = await api_keys.keys(tx, tenant_id=caller.tenant_id, page=filters.slice, now=caller.now())
    return page_of(Part(tuple(map(_shown, found.rows)), found.next_after))


@router.post("/api-keys", status_code=201)
@needs("keys:write")
async def add_api_key(caller: CallerOf, new: NewApiKey) -> IssuedKeyView:
    """Add a key. It can do at most what you may do yourself; a key's own expiry and addresses bind what it makes."""
    async with caller.transaction() as tx:
        issued = await api_keys.add_key(
            tx,
            tenant_id=caller.tenant_id,
            name=new.name,
            scopes=new.scopes,
            expires_at=new.expires_at,
            allowed_addresses=new.allowed_addresses,
            giver=caller.giver,
            now=caller.now(),
        )
    return _issued(issued)


@router.get("/api-keys/{key}")
@needs("keys:read")
async def get_api_key(caller: CallerOf, key: KeyPath) -> ApiKeyView:
    """Return one key."""
    async with caller.transaction() as tx:
        return _shown(await api_keys.key(tx, tenant_id=caller.tenant_id, key_id=key, now=caller.now()))


@router.post("/api-keys/{key}/rotations", status_code=201)
@needs("keys:write")
async def rotate_api_key(
    request: Request, caller: CallerOf, key: KeyPath, rotation: KeyRotation | None = None
) -> IssuedKeyView:
    """Give a key a successor that may do the same. The old one goes on working for `overlap_s`."""
    asked = rotation or KeyRotation()
    async with caller.transaction() as tx:
        issued = await api_keys.rotate_key(
            tx,
            tenant_id=caller.tenant_id,
            key_id=key,
            overlap_s=asked.overlap_s,
            expires_at=asked.expires_at,
            giver=caller.giver,
            now=caller.now(),
        )
    _forget(request, caller, key)
    return _issued(issued)


@router.post("/api-keys/{key}/revocations", status_code=201)
@needs("keys:write")
async def revoke_api_key(request: Request, caller: CallerOf, key: KeyPath) -> ApiKeyView:
    """Take a key out of force, within two seconds. Revoking it again changes nothing."""
    async with caller.transaction() as tx:
        revoked = await api_keys.revoke_key(
            tx, tenant_id=caller.tenant_id, key_id=key, giver=caller.giver, now=caller.now()
        )
    _forget(request, caller, key)
    return _shown(revoked)


def _forget(request: Request, caller: Caller, key_id: UUID) -> None:
    """Look the key up again at once: what this process did itself it need not learn within two seconds."""
    keys: Keys = request.app.state.keys
    keys.forget(tenant_id=caller.tenant_id, key_id=key_id)


def _issued(issued: IssuedKey) -> IssuedKeyView:
    return IssuedKeyView(key=issued.secret, **_fields(issued.key))


def _shown(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(**_fields(key))


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(permissions.ALL) if key.scopes is None else list(key.scopes),
        "is_unlimited": key.scopes is None,
        "allowed_addresses": [str(network) for network in key.allowed_addresses],
        "status": key.status,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "last_used_address": key.last_used_address,
        "revoked_at": key.revoked_at,
        "successor": key.successor_id,
    }
