"""Routes of transfers of credits, and of where the credits of a pool are good."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.packs import transferring
from bursar.apps.booking.packs.transferring import CreditTransfer
from bursar.apps.booking.passes import pools
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Name, Page, PageFilters, Positive, Reason, View, page_of
from bursar.kernel.http.identifiers import CreditTransferId, CustomerId, LotId, VenueId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["packs"])

PoolText = Annotated[Name, Field(max_length=64, examples=["classes"])]
# The first is what arrives where a path is no UTF-8; the others turn round how text reads.
PoolPath = Annotated[PoolText, Path(pattern="^[^\ufffd\u202a-\u202e\u2066-\u2069]+$")]


class NewCreditTransfer(Input):
    """Credits of a lot, for another customer. Needs the rule `credits_transferable`."""

    lot: LotId
    customer: CustomerId = Field(description="Who gets them.")
    amount: Positive | None = Field(default=None, description="All that is left of the lot where it is left out.")
    reason: Reason | None = None


class CreditTransferFilters(PageFilters):
    from_customer: CustomerId | None = None
    to_customer: CustomerId | None = None


class WantedPool(Input):
    venues: list[VenueId] = Field(max_length=200, description="Where its credits are good; none: everywhere.")


class CreditPool(View):
    """A pool whose credits are good at certain venues only."""

    pool: str
    venues: list[VenueId]


class CreditPools(View):
    data: list[CreditPool]


@router.post("/credit-transfers", status_code=201)
@needs("credits:write")
async def transfer_credits(caller: CallerOf, new: NewCreditTransfer) -> CreditTransfer:
    """Let credits be another customer's, with their pool and their end. Refused where the business does not allow it."""
    async with caller.transaction() as tx:
        made = await transferring.transfer_credits(
            tx,
            tenant_id=caller.tenant_id,
            lot_id=new.lot,
            customer_id=new.customer,
            amount=new.amount,
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
        )
        return await transferring.transfer(tx, tenant_id=caller.tenant_id, transfer_id=made)


@router.get("/credit-transfers")
@needs("credits:read")
async def list_credit_transfers(
    caller: CallerOf, filters: Annotated[CreditTransferFilters, Query()]
) -> Page[CreditTransfer]:
    """List transfers of credits, newest first."""
    async with caller.transaction() as tx:
        found = await transferring.transfers(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(found)


@router.get("/credit-transfers/{credit_transfer}")
@needs("credits:read")
async def get_credit_transfer(caller: CallerOf, credit_transfer: Annotated[CreditTransferId, Path()]) -> CreditTransfer:
    """Return one transfer of credits."""
    async with caller.transaction() as tx:
        return await transferring.transfer(tx, tenant_id=caller.tenant_id, transfer_id=credit_transfer)


@router.get("/credit-pools")
@needs("schedule:read")
async def list_credit_pools(caller: CallerOf) -> CreditPools:
    """List the pools whose credits are not good everywhere; at most 200."""
    async with caller.transaction() as tx:
        found = await pools.limited_pools(tx, tenant_id=caller.tenant_id)
    return CreditPools(data=[CreditPool(pool=pool, venues=venues) for pool, venues in found.items()])


@router.put("/credit-pools/{pool}")
@needs("schedule:write")
async def put_credit_pool(caller: CallerOf, pool: PoolPath, wanted: WantedPool) -> CreditPool:
    """Let credits of a pool, and memberships of it, pay at these venues only, from now on."""
    async with caller.transaction() as tx:
        venues = await pools.limit_pool(
            tx, tenant_id=caller.tenant_id, pool=pool, venue_ids=wanted.venues, actor=caller.actor
        )
    return CreditPool(pool=pool, venues=venues)
