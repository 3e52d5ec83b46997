"""Packs of credits: what a business sells them for, for how long they are good, and which are sold by link."""

import re
from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.permissions import require
from bursar.money.catalog.selling import GrantCheck, add_price, add_product
from bursar.money.storefront import buy_links, set_buy_link
from bursar.web.pages.reads.catalogue import grants_in_words
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.sums import CURRENCY, minor_of
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

_CREDITS: Final = '"kind":"credits"'
_NAME_MAX: Final = 120
_POOL_MAX: Final = 64
_CREDITS_MAX: Final = 100_000
_DAYS_MAX: Final = 3_660
_DIGITS_MAX: Final = 15

router = APIRouter(route_class=PageRoute)


class PackFormInvalid(Invalid):
    """The form describes no pack."""

    code = "pack_form_invalid"


@router.get("/packs")
@needs("catalog:read")
async def packs_page(visit: Visiting, done: Literal["", "added", "sold"] = "") -> Response:
    """Show the packs of credits there are, which of them are sold by link, and the form that adds one."""
    async with visit.open() as page:
        links = await buy_links(page.tx, tenant_id=visit.tenant_id)
        packs = [link for link in links if _CREDITS in link.grants.replace(" ", "")]
        return page.answer(
            "planning/packs.html",
            packs=[(ids.show(ids.PRICE, link.price_id), link, grants_in_words(link.grants)) for link in packs],
            currency=packs[0].money.currency if packs else "EUR",
            base=visit.resources.settings.public_url or str(visit.request.base_url).rstrip("/"),
            done=done,
        )


@router.post("/packs")
@needs("catalog:write")
async def add_pack(visit: Visiting) -> Response:
    """Add a pack, and sell it by link where the form says so."""
    fields = await visit.form()
    is_sold = fields.get("is_sold") == "on"
    if is_sold:
        require(visit.principal.permissions, "storefront:write")
    name, currency = _name(fields), fields.get("currency", "").strip().upper()
    amount_minor = _minor(fields.get("amount", ""), currency)
    check: GrantCheck = visit.request.app.state.grant_check
    key = f"{_slug(name)}-{str(ids.new())[-6:]}"
    async with visit.open() as page:
        given: dict[str, Any] = {"tenant_id": visit.tenant_id, "actor": visit.actor}
        product_id = await add_product(page.tx, **given, name=name, description="")
        await add_price(
            page.tx,
            **given,
            product_id=product_id,
            lookup_key=key,
            amount_minor=amount_minor,
            currency=currency,
            interval=None,
            interval_count=1,
            grants=[_grant(fields)],
            gateway_refs=[],
            recovers_shortfall=False,
            check=check,
            now=visit.now,
        )
        if is_sold:
            await set_buy_link(page.tx, **given, price=key, account_id=None, is_on=True)
    return to(f"/packs?done={'sold' if is_sold else 'added'}")


def _grant(fields: dict[str, str]) -> dict[str, Any]:
    credits_ = _whole(fields.get("credits", ""), _CREDITS_MAX)
    if credits_ is None:
        raise _invalid("credits", f"The credits are a whole number from 1 to {_CREDITS_MAX}.")
    pool = printable(fields.get("pool", "")).strip()
    if not 1 <= len(pool) <= _POOL_MAX:
        raise _invalid("pool", f"The pool has 1 to {_POOL_MAX} characters: classes say which pools pay for them.")
    grant = {"kind": "credits", "amount": credits_, "pool": pool}
    if not fields.get("days", "").strip():
        return grant
    days = _whole(fields["days"], _DAYS_MAX)
    if days is None:
        raise _invalid("days", f"The days are a whole number from 1 to {_DAYS_MAX}, or empty.")
    return grant | {"expires_after": f"P{days}D"}


def _name(fields: dict[str, str]) -> str:
    name = printable(fields.get("name", "")).strip()
    if not 1 <= len(name) <= _NAME_MAX:
        raise _invalid("name", f"The name has 1 to {_NAME_MAX} characters.")
    return name


def _minor(text: str, currency: str) -> int:
    """Return a price as it is typed, `120` or `120.00`, in minor units. Raises PackFormInvalid."""
    if not CURRENCY.fullmatch(currency):
        raise _invalid("currency", "The currency is written like EUR.")
    minor = minor_of(text, currency)
    if minor is None:
        raise _invalid("amount", f"The price is an amount of {currency} like 120.00, with as many digits as it has.")
    return minor


def _whole(text: str, most: int) -> int | None:
    typed = text.strip()
    number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _DIGITS_MAX else 0
    return number if 1 <= number <= most else None


def _slug(name: str) -> str:
    """Return the beginning of a lookup key: it stands in the address of the page that sells the pack."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "pack"


def _invalid(field: str, message: str) -> PackFormInvalid:
    wrong = FieldError(field, "invalid", message)
    return PackFormInvalid(message, hint="Go back and correct it.", fields=(wrong,))
