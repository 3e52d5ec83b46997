"""Routes of the catalogue."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import DeletableFilters, Key, Page, page_of
from bursar.kernel.http.identifiers import PriceId, ProductId
from bursar.kernel.http.revalidation import revalidated
from bursar.money.catalog import queries, selling
from bursar.money.catalog.schemas import GatewayRef, NewGatewayRefs, NewPrice, NewProduct, PriceView, Product
from bursar.money.catalog.selling import GatewayRefs, GrantCheck

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["catalogue"])


async def _grant_check(request: Request) -> GrantCheck:
    """Who judges grants stands above the catalogue, and is put here by the application."""
    check: GrantCheck = request.app.state.grant_check
    return check


class ProductFilters(DeletableFilters):
    is_active: bool | None = None


class PriceFilters(DeletableFilters):
    product: ProductId | None = None
    lookup_key: Key | None = None
    gateway_ref: Key | None = None
    is_active: bool | None = None


@router.get("/products")
@needs("catalog:read")
@revalidated
async def list_products(caller: CallerOf, filters: Annotated[ProductFilters, Query()]) -> Page[Product]:
    """List products, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.products(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/products", status_code=201)
@needs("catalog:write")
async def add_product(caller: CallerOf, new: NewProduct) -> Product:
    """Add a product."""
    async with caller.transaction() as tx:
        product_id = await selling.add_product(
            tx, tenant_id=caller.tenant_id, name=new.name, description=new.description, actor=caller.actor
        )
        return await queries.product(tx, tenant_id=caller.tenant_id, product_id=product_id)


@router.get("/products/{product}")
@needs("catalog:read")
@revalidated
async def get_product(caller: CallerOf, product: Annotated[ProductId, Path()]) -> Product:
    """Return one product."""
    async with caller.transaction() as tx:
        return await queries.product(tx, tenant_id=caller.tenant_id, product_id=product)


@router.get("/prices")
@needs("catalog:read")
@revalidated
async def list_prices(caller: CallerOf, filters: Annotated[PriceFilters, Query()]) -> Page[PriceView]:
    """List prices, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.prices(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.post("/prices", status_code=201)
@needs("catalog:write")
async def add_price(caller: CallerOf, new: NewPrice, check: Annotated[GrantCheck, Depends(_grant_check)]) -> PriceView:
    """Add a price. Money that waited for it is looked at again."""
    async with caller.transaction() as tx:
        price_id = await selling.add_price(
            tx,
            tenant_id=caller.tenant_id,
            product_id=new.product,
            lookup_key=new.lookup_key,
            amount_minor=new.amount_minor,
            currency=new.currency,
            interval=new.interval,
            interval_count=new.interval_count,
            grants=new.grants,
            gateway_refs=_pairs(new.gateway_refs),
            recovers_shortfall=new.recovers_shortfall,
            check=check,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.price(tx, tenant_id=caller.tenant_id, price_id=price_id)


@router.get("/prices/{price}")
@needs("catalog:read")
@revalidated
async def get_price(caller: CallerOf, price: Annotated[PriceId, Path()]) -> PriceView:
    """Return one price."""
    async with caller.transaction() as tx:
        return await queries.price(tx, tenant_id=caller.tenant_id, price_id=price)


@router.post("/prices/{price}/gateway-refs", status_code=201)
@needs("catalog:write")
async def add_gateway_refs(caller: CallerOf, price: Annotated[PriceId, Path()], new: NewGatewayRefs) -> PriceView:
    """Give a price further names at gateways. Money that waited for them is looked at again."""
    async with caller.transaction() as tx:
        await selling.add_gateway_refs(
            tx,
            tenant_id=caller.tenant_id,
            price_id=price,
            gateway_refs=_pairs(new.gateway_refs),
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.price(tx, tenant_id=caller.tenant_id, price_id=price)


def _pairs(refs: list[GatewayRef]) -> GatewayRefs:
    return [(ref.gateway_account, ref.ref) for ref in refs]
