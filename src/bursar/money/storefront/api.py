"""Routes of the storefront."""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.http import Email, Input, Key, Url, View
from bursar.kernel.http.identifiers import AccountId, PriceId
from bursar.money.storefront import themes
from bursar.money.storefront.buy_links import BuyLink, buy_links, set_buy_link

READING: Final = "storefront:read"
WRITING: Final = "storefront:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["storefront"])

ShopName = Annotated[
    Key, Field(max_length=80, description="As customers know the business.", examples=["Harbour Yoga"])
]
LogoUrl = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^https://[a-z0-9.-]{1,253}(:[0-9]{1,5})?/[!-~]*$",
        description="An image, fetched by the customer's browser.",
        examples=["https://studio.example.org/logo.png"],
    ),
]
Accent = Annotated[
    str,
    Field(
        pattern="^#[0-9a-f]{6}$", description="Of buttons and links. It must be read on white.", examples=["#0b5d3b"]
    ),
]


class WantedTheme(Input):
    """How customers see the business. What is left out is as if nothing had been chosen."""

    name: ShopName | None = None
    logo_url: LogoUrl | None = None
    accent: Accent | None = None
    support_email: Email | None = Field(default=None, description="Whom customers may write to.")
    return_url: Url | None = Field(default=None, description="The business's own pages.")


class ShownTheme(View):
    """How customers see the business on the pages that Bursar shows them. Null: nothing was chosen."""

    name: str | None
    logo_url: str | None
    accent: str | None
    support_email: str | None
    return_url: str | None


class WantedBuyLink(Input):
    is_on: Annotated[bool, Field(description="Whether the price is sold to whoever has the link.")]
    gateway_account: AccountId | None = Field(
        default=None, description="Where it is paid; needed only where there are several."
    )


class ShownBuyLink(View):
    """A price that may be sold by link."""

    price: PriceId
    lookup_key: str
    gateway_account: AccountId | None
    is_on: bool
    url: str = Field(
        description="Of the page on which it is bought.", examples=["https://pay.example.org/buy/ten_…/gold"]
    )


class BuyLinks(View):
    data: list[ShownBuyLink]


@router.get("/theme")
@needs(READING)
async def get_theme(caller: CallerOf) -> ShownTheme:
    """Show how customers see the business."""
    async with caller.transaction() as tx:
        return _theme(await themes.theme_of(tx, tenant_id=caller.tenant_id))


@router.put("/theme")
@needs(WRITING)
async def put_theme(caller: CallerOf, wanted: WantedTheme) -> ShownTheme:
    """Set how customers see the business. An accent that cannot be read is refused, with the nearest that can."""
    theme = themes.Theme(**wanted.model_dump())
    async with caller.transaction() as tx:
        return _theme(await themes.set_theme(tx, tenant_id=caller.tenant_id, theme=theme, actor=caller.actor))


@router.get("/buy-links")
@needs(READING)
async def list_buy_links(caller: CallerOf) -> BuyLinks:
    """List the prices that could be sold by link, those that are first; at most 200."""
    async with caller.transaction() as tx:
        found = await buy_links(tx, tenant_id=caller.tenant_id)
    return BuyLinks(data=[_link(caller, each) for each in found])


@router.put("/prices/{price}/buy-link")
@needs(WRITING)
async def put_buy_link(caller: CallerOf, price: Annotated[PriceId, Path()], wanted: WantedBuyLink) -> ShownBuyLink:
    """Sell a price to whoever has its link, or no more."""
    async with caller.transaction() as tx:
        found = await set_buy_link(
            tx,
            tenant_id=caller.tenant_id,
            price=ids.show(ids.PRICE, price),
            account_id=wanted.gateway_account,
            is_on=wanted.is_on,
            actor=caller.actor,
        )
    return _link(caller, found)


def _theme(theme: themes.Theme) -> ShownTheme:
    return ShownTheme(
        name=theme.name,
        logo_url=theme.logo_url,
        accent=theme.accent,
        support_email=theme.support_email,
        return_url=theme.return_url,
    )


def _link(caller: Caller, link: BuyLink) -> ShownBuyLink:
    return ShownBuyLink(
        price=link.price_id,
        lookup_key=link.lookup_key,
        gateway_account=link.account_id,
        is_on=link.is_on,
        url=f"{caller.resources.settings.public_url}{link.path}",
    )
