"""Routes of gateway accounts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Key, Name, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId
from bursar.kernel.listing import Part
from bursar.money.intake import accounts
from bursar.money.intake.accounts import AccountView
from bursar.money.intake.schemas import GatewayAccount, GatewayName

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["gateway accounts"])

Secret = Annotated[Key, Field(examples=["whsec_6QkXJzZ8c1yL0vT3uWq9"])]


class NewGatewayAccount(Input):
    gateway: GatewayName
    name: Name | None = None
    signing_secrets: list[Secret] = Field(default_factory=list, max_length=accounts.SECRETS_MAX)
    api_key: Key | None = None
    tolerance_s: int | None = Field(default=None, ge=1, le=86_400)
    deliveries_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    base_url: Key | None = Field(
        default=None, description="Where the gateway is, instead of at its own address. Not in production."
    )


class SecretRotation(Input):
    add: list[Secret] = Field(default_factory=list, max_length=accounts.SECRETS_MAX)
    remove: list[Secret] = Field(default_factory=list, max_length=accounts.SECRETS_MAX)
    api_key: Key | None = Field(
        default=None, description="What the gateway is called with from now on; left out: as before."
    )


class AccountFilters(PageFilters):
    gateway: GatewayName | None = None


@router.get("/gateway-accounts")
@needs("gateways:read")
async def list_gateway_accounts(caller: CallerOf, filters: Annotated[AccountFilters, Query()]) -> Page[GatewayAccount]:
    """List the tenant's accounts at gateways."""
    async with caller.transaction() as tx:
        found = await accounts.accounts(
            tx, tenant_id=caller.tenant_id, page=filters.slice, gateway_name=filters.gateway
        )
    return page_of(Part(tuple(_shown(caller, view) for view in found.rows), found.next_after))


@router.post("/gateway-accounts", status_code=201)
@needs("gateways:write")
async def add_gateway_account(caller: CallerOf, new: NewGatewayAccount) -> GatewayAccount:
    """Add an account. Give the gateway its `webhook_url`."""
    settings = caller.resources.settings
    async with caller.transaction() as tx:
        view = await accounts.add_account(
            tx,
            tenant_id=caller.tenant_id,
            gateway_name=new.gateway,
            name=new.name or new.gateway,
            signing_secrets=new.signing_secrets,
            api_key=new.api_key,
            tolerance_s=new.tolerance_s or settings.signature_tolerance_s,
            deliveries_per_minute=new.deliveries_per_minute,
            base_url=new.base_url,
            seal=caller.resources.seal,
            actor=caller.actor,
            is_production=settings.production,
        )
    return _shown(caller, view)


@router.get("/gateway-accounts/{account}")
@needs("gateways:read")
async def get_gateway_account(caller: CallerOf, account: Annotated[AccountId, Path()]) -> GatewayAccount:
    """Return one account."""
    async with caller.transaction() as tx:
        return _shown(caller, await accounts.account(tx, tenant_id=caller.tenant_id, account_id=account))


@router.post("/gateway-accounts/{account}/secret-rotations", status_code=201)
@needs("gateways:write")
async def rotate_signing_secrets(
    caller: CallerOf, account: Annotated[AccountId, Path()], rotation: SecretRotation
) -> GatewayAccount:
    """Put signing secrets in force, and take others out. Both count while both are there."""
    async with caller.transaction() as tx:
        view = await accounts.rotate_secrets(
            tx,
            tenant_id=caller.tenant_id,
            account_id=account,
            add=rotation.add,
            remove=rotation.remove,
            api_key=rotation.api_key,
            seal=caller.resources.seal,
            actor=caller.actor,
        )
    return _shown(caller, view)


def _shown(caller: Caller, view: AccountView) -> GatewayAccount:
    fields = {name: getattr(view, name) for name in AccountView.__dataclass_fields__}
    base = caller.resources.settings.public_url
    return GatewayAccount(webhook_url=accounts.webhook_url(base, view.id), **fields)
