"""Routes of calls: what was asked of gateways, and what came of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Instant, Key, Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import AccountId, EventId
from bursar.money.calls import asking, queries
from bursar.money.calls.fetching import FetchedKind, fetch_object
from bursar.money.calls.following import WayOut
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


class NewFetch(Input):
    """What to fetch: the kind of an object, and the gateway's id of it."""

    kind: FetchedKind
    ref: str = Field(min_length=1, max_length=255, pattern="^[A-Za-z0-9_-]+$", examples=["pi_3QXg1o8vcGmoR32Z"])


class Fetch(View):
    """An object as its gateway has it, filed as a report."""

    gateway_account: AccountId
    kind: FetchedKind
    ref: str
    event: EventId = Field(description="The event that reports it; a worker applies it like a delivery.")
    reported_at: datetime = Field(description="The gateway's time of this state.")


@router.post("/gateway-accounts/{account}/fetches", status_code=201, tags=["gateway accounts"])
@needs("gateways:write", is_read=True)
async def fetch_gateway_object(
    caller: CallerOf,
    account: Annotated[AccountId, Path()],
    new: NewFetch,
    outside: WayOut,
) -> Fetch:
    """Fetch one object from the gateway now and merge it, like a report that was never sent. Twice is harmless."""
    resources = caller.resources
    found = await fetch_object(
        outside,
        resources.db,
        seal=resources.seal,
        is_production=resources.settings.production,
        tenant_id=caller.tenant_id,
        account_id=account,
        kind=new.kind,
        ref=new.ref,
        actor=caller.actor,
    )
    return Fetch(gateway_account=account, kind=found.kind, ref=found.ref, event=found.event_id, reported_at=found.at)


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
