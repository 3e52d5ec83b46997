"""Routes of calls: what was asked of gateways, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Instant, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId
from bursar.money.calls import asking, queries
from bursar.money.calls.models import CallState
from bursar.money.calls.queries import GatewayCall, GatewayCallId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["gateway calls"])


class GatewayCallFilters(PageFilters):
    state: CallState | None = None
    subject: Key | None = None
    operation: Key | None = None
    gateway_account: AccountId | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/gateway-calls")
@needs("gateways:read")
async def list_gateway_calls(caller: CallerOf, filters: Annotated[GatewayCallFilters, Query()]) -> Page[GatewayCall]:
    """List what was asked of gateways, newest first."""
    async with caller.transaction() as tx:
        return page_of(
            await queries.gateway_calls(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
        )


@router.get("/gateway-calls/{gateway_call}")
@needs("gateways:read")
async def get_gateway_call(caller: CallerOf, gateway_call: Annotated[GatewayCallId, Path()]) -> GatewayCall:
    """Return one call."""
    async with caller.transaction() as tx:
        return await queries.gateway_call(tx, tenant_id=caller.tenant_id, call_id=gateway_call)


@router.post("/gateway-calls/{gateway_call}/looks", status_code=202)
@needs("gateways:write")
async def look_for_gateway_call(caller: CallerOf, gateway_call: Annotated[GatewayCallId, Path()]) -> GatewayCall:
    """Look at the gateway what became of a call whose outcome is unknown. It is repeated only if nothing was done."""
    async with caller.transaction() as tx:
        await asking.look_again(tx, tenant_id=caller.tenant_id, call_id=gateway_call, actor=caller.actor)
        return await queries.gateway_call(tx, tenant_id=caller.tenant_id, call_id=gateway_call)
