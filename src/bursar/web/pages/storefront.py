"""The storefront's desk: how customers see the business, and which prices they may buy with a link."""

from typing import Final, Literal

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from bursar.apps.booking.people import front_path
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import Invalid
from bursar.money.storefront import Theme, buy_links, set_buy_link, set_theme, theme_of
from bursar.money.storefront.api import READING, WRITING, WantedTheme
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

_FIELDS: Final = ("name", "logo_url", "accent", "support_email", "return_url")
_WORDS: Final = {
    "name": "The name has at most 80 characters.",
    "logo_url": "The logo's address begins with https:// and a host in small letters.",
    "accent": "The accent is written like #0b5d3b.",
    "support_email": "The support address is an e-mail address.",
    "return_url": "The address of your own pages begins with https:// and a host.",
}
_ACCOUNTS = """
select id, left(name, 60) as name from gateway_account
where tenant_id = $1 and is_active and api_key is not null order by id limit 20
"""

router = APIRouter(route_class=PageRoute)


class ThemeFormInvalid(Invalid):
    """The form does not describe a theme."""

    code = "theme_form_invalid"


@router.get("/storefront")
@needs(READING)
async def storefront_page(visit: Visiting, done: Literal["", "saved", "on", "off"] = "") -> Response:
    """Show how customers see the business, and what is sold by link."""
    async with visit.open() as page:
        accounts = [
            (ids.show(ids.GATEWAY_ACCOUNT, r["id"]), r["name"]) for r in await page.tx.fetch(_ACCOUNTS, visit.tenant_id)
        ]
        return page.answer(
            "storefront.html",
            theme=await theme_of(page.tx, tenant_id=visit.tenant_id),
            links=await buy_links(page.tx, tenant_id=visit.tenant_id),
            accounts=accounts,
            front=front_path(visit.tenant_id),
            base=visit.resources.settings.public_url or str(visit.request.base_url).rstrip("/"),
            done=done,
            price_id=lambda link: ids.show(ids.PRICE, link.price_id),
        )


@router.post("/storefront/theme")
@needs(WRITING)
async def save_theme(visit: Visiting) -> Response:
    """Let the business look so from now on."""
    fields = await visit.form()
    given = {name: printable(fields.get(name, "")) or None for name in _FIELDS}
    if given["accent"]:
        given["accent"] = given["accent"].lower()
    try:
        wanted = WantedTheme.model_validate(given)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise ThemeFormInvalid(_WORDS[field], hint="Go back and correct it.") from error
    async with visit.open() as page:
        await set_theme(page.tx, tenant_id=visit.tenant_id, theme=Theme(**wanted.model_dump()), actor=visit.actor)
    return to("/storefront?done=saved")


@router.post("/storefront/links/{price}")
@needs(WRITING)
async def switch_link(visit: Visiting, price: str) -> Response:
    """Sell a price by link, or no more."""
    price_id = ids.show(ids.PRICE, ids.parse(ids.PRICE, price))
    fields = await visit.form()
    is_on = fields.get("is_on") == "yes"
    account = fields.get("account", "")
    async with visit.open() as page:
        await set_buy_link(
            page.tx,
            tenant_id=visit.tenant_id,
            price=price_id,
            account_id=ids.parse(ids.GATEWAY_ACCOUNT, account) if account else None,
            is_on=is_on,
            actor=visit.actor,
        )
    return to(f"/storefront?done={'on' if is_on else 'off'}")
