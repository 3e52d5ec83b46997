"""Routes that delete and bring back customers, products and prices."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.http import Filters, Input, Reason
from bursar.kernel.http.identifiers import CustomerId, PriceId, ProductId
from bursar.money.catalog import queries as catalog
from bursar.money.catalog.schemas import PriceView, Product
from bursar.money.customers import Customer, customer
from bursar.money.desk import deleting
from bursar.money.desk.deleting import Deletion

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["desk"])


class ForceNeedsReason(Invalid):
    """Whoever deletes a customer that has something left says why."""

    code = "force_needs_reason"


class Why(Filters):
    reason: Reason | None = None


class WhyAndForce(Why):
    force: bool = Field(
        default=False, description="Delete although credits, a live subscription or bookings to come are left."
    )


class Restoration(Input):
    reason: Reason | None = None


@router.delete("/products/{product}")
@needs("catalog:write")
async def delete_product(
    caller: CallerOf, product: Annotated[ProductId, Path()], why: Annotated[Why, Query()]
) -> Product:
    """Delete a product that has no prices left. It leaves the lists; by its id it can still be read."""
    deletion = Deletion(caller.actor, caller.now(), why.reason)
    async with caller.transaction() as tx:
        await deleting.delete_product(tx, tenant_id=caller.tenant_id, product_id=product, deletion=deletion)
        return await catalog.product(tx, tenant_id=caller.tenant_id, product_id=product)


@router.post("/products/{product}/restorations", status_code=201)
@needs("catalog:write")
async def restore_product(caller: CallerOf, product: Annotated[ProductId, Path()], why: Restoration) -> Product:
    """Bring a deleted product back."""
    deletion = Deletion(caller.actor, caller.now(), why.reason)
    async with caller.transaction() as tx:
        await deleting.restore_product(tx, tenant_id=caller.tenant_id, product_id=product, deletion=deletion)
        return await catalog.product(tx, tenant_id=caller.tenant_id, product_id=product)


@router.delete("/prices/{price}")
@needs("catalog:write")
async def delete_price(caller: CallerOf, price: Annotated[PriceId, Path()], why: Annotated[Why, Query()]) -> PriceView:
    """Delete a price that no live subscription pays and no order of the last day names. Money that names it still buys it."""
    deletion = Deletion(caller.actor, caller.now(), why.reason)
    async with caller.transaction() as tx:
        await deleting.delete_price(tx, tenant_id=caller.tenant_id, price_id=price, deletion=deletion)
        return await catalog.price(tx, tenant_id=caller.tenant_id, price_id=price)


@router.post("/prices/{price}/restorations", status_code=201)
@needs("catalog:write")
async def restore_price(caller: CallerOf, price: Annotated[PriceId, Path()], why: Restoration) -> PriceView:
    """Bring a deleted price back."""
    deletion = Deletion(caller.actor, caller.now(), why.reason)
    async with caller.transaction() as tx:
        await deleting.restore_price(tx, tenant_id=caller.tenant_id, price_id=price, deletion=deletion)
        return await catalog.price(tx, tenant_id=caller.tenant_id, price_id=price)


@router.delete("/customers/{customer}")
@needs("customers:write")
async def delete_customer(
    caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")], why: Annotated[WhyAndForce, Query()]
) -> Customer:
    """Delete a customer. One that has credits, a live subscription or bookings to come takes `force=true` and a `reason`.

    What was bought stays. What is booked ahead is cancelled, and everything goes back; the customer waits for no seat any more. A customer that pays afterwards is in the lists again, with `paid_since_deleted`.
    """
    if why.force and not why.reason:
        raise ForceNeedsReason(
            "forcing takes a reason", hint="Pass reason=…", fields=(FieldError("reason", "required", "say why"),)
        )
    deletion = Deletion(caller.actor, caller.now(), why.reason, why.force)
    async with caller.transaction() as tx:
        await deleting.delete_customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id, deletion=deletion)
        return await customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id)


@router.post("/customers/{customer}/restorations", status_code=201)
@needs("customers:write")
async def restore_customer(
    caller: CallerOf, customer_id: Annotated[CustomerId, Path(alias="customer")], why: Restoration
) -> Customer:
    """Bring a deleted customer back."""
    deletion = Deletion(caller.actor, caller.now(), why.reason)
    async with caller.transaction() as tx:
        await deleting.restore_customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id, deletion=deletion)
        return await customer(tx, tenant_id=caller.tenant_id, customer_id=customer_id)
