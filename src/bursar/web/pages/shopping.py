"""What customers see: the page on which one buys with a link, and where one lands after paying. Nobody signs in.

Whoever holds the link of a checkout sees that checkout and nothing else: its secret opens it, and only its hash is kept.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import public
from bursar.kernel.auth.pace import tell
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid, NotFound
from bursar.kernel.http.addresses import client_address, source_of
from bursar.kernel.identity import tokens
from bursar.kernel.rate_limits import Limit, RateLimited
from bursar.kernel.resources import Resources, resources_of
from bursar.kernel.zones import time_zone_of
from bursar.money import calls, checkouts
from bursar.money.storefront import BuyLink, NotForSale, Theme, offer_of, shades_of, theme_of
from bursar.web.pages.reads.catalogue import grants_in_words
from bursar.web.pages.reads.landing import Landing, landing
from bursar.web.pages.routing import SECURITY_POLICY, PageRoute
from bursar.web.pages.templating import render
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import posted, require_same_origin, to

LOOKS_MAX: Final = 30
"""How often a page that waits for news asks for itself again."""
_EMAIL_MAX: Final = 254
_BUYER: Final = "buyer"
"""How the audit trail names whoever buys with a link: nobody we know."""

router = APIRouter(route_class=PageRoute)


class BusinessNotFound(NotFound):
    """There is no business at this address."""

    code = "business_not_found"


class BuyFormInvalid(Invalid):
    """The form names no e-mail address, or is not ours."""

    code = "buy_form_invalid"


@dataclass(frozen=True, slots=True)
class Shop:
    """A business as its customers see it. sheet: the hash of its colours, in the address of its style sheet."""

    tenant: str
    name: str
    theme: Theme
    zone: ZoneInfo
    sheet: str | None

    def answer(self, template: str, *, status: int = 200, **views: Any) -> Response:
        """Return a page in the business's theme. Its logo is the one thing that another host may show here."""
        answer = HTMLResponse(render(template, shop=self, zone=self.zone, **views), status)
        if self.theme.logo_url:
            host = urlsplit(self.theme.logo_url).netloc
            policy = SECURITY_POLICY.replace("img-src 'self'", f"img-src 'self' https://{host}")
            answer.headers["content-security-policy"] = policy
        answer.headers["x-robots-tag"] = "noindex, nofollow"
        return answer


_BUSINESS = "select left(name, 80) from tenant where tenant_id = $1"


@router.get("/themes/{business}")
@public
async def theme_sheet(request: Request, business: str) -> Response:
    """Give the style sheet of a business's colours. They are no secret."""
    tenant_id = ids.parse(ids.TENANT, business)
    async with resources_of(request).db.tenant(tenant_id) as tx:
        theme = await theme_of(tx, tenant_id=tenant_id)
    return Response(
        _sheet(theme),
        media_type="text/css",
        headers={"cache-control": "public, max-age=86400", "vary": "accept-encoding"},
    )


@router.get("/buy/{business}/{lookup_key}")
@public
async def offer(request: Request, business: str, lookup_key: str) -> Response:
    """Show what is sold at this address."""
    resources, tenant_id = resources_of(request), ids.parse(ids.TENANT, business)
    async with resources.db.tenant(tenant_id) as tx:
        found = await _offer(tx, tenant_id, lookup_key)
        shop = await shop_of(tx, tenant_id)
    link, _ = tokens.make(tenant_id, ids.new())
    return _offered(shop, found, link=link)


@router.post("/buy/{business}/{lookup_key}")
@public
async def buy(request: Request, business: str, lookup_key: str) -> Response:
    """Start a checkout and lead to the page on which it is paid. Sending the form twice starts one."""
    require_same_origin(request)
    resources, tenant_id = resources_of(request), ids.parse(ids.TENANT, business)
    await _count(request, resources)
    fields = await posted(request)
    token = tokens.read(fields.get("link", ""))
    if token is None or token.tenant_id != tenant_id:
        raise BuyFormInvalid("This form is not as it was shown.", hint="Open the page again, and send it from there.")
    email = printable(fields.get("email", ""))
    async with resources.db.tenant(tenant_id) as tx:
        found = await _offer(tx, tenant_id, lookup_key)
        shop = await shop_of(tx, tenant_id)
        call_id = await checkouts.started(tx, token)
    if call_id is None:
        if not is_address(email):
            return _offered(shop, found, link=fields["link"], email=email, is_wrong=True)
        call_id = await _start(request, found, token, link=fields["link"], email=email)
    at_most = timedelta(seconds=resources.settings.outcome_wait_s)
    await calls.waited(resources.db, tenant_id=tenant_id, call_id=call_id, at_most=at_most)
    return to(f"{checkouts.path_of(fields['link'])}/pay")


@router.get("/checkouts/{link}")
@public
async def landed(request: Request, link: str, n: str = "") -> Response:
    """Show how a checkout stands: where its customer lands after paying. n: how often the page has asked for itself."""
    return await _stands(request, link, "landing.html", n=n)


@router.get("/checkouts/{link}/canceled")
@public
async def canceled(request: Request, link: str) -> Response:
    """Show whoever left the gateway's page that nothing was paid, and the way back."""
    return await _stands(request, link, "landing.html", n="", is_left=True)


@router.get("/checkouts/{link}/pay")
@public
async def pay(request: Request, link: str, n: str = "") -> Response:
    """Lead on to the gateway's page as soon as it is there."""
    return await _stands(request, link, "paying.html", n=n)


Template = Literal["landing.html", "paying.html"]


async def _stands(request: Request, link: str, template: Template, *, n: str, is_left: bool = False) -> Response:
    resources, token = resources_of(request), tokens.read(link)
    found: Landing | None = None
    if token is not None:
        async with resources.db.tenant(token.tenant_id) as tx:
            found = await landing(tx, token, now=resources.now())
            shop = await shop_of(tx, token.tenant_id) if found else None
    if token is None or found is None or shop is None:
        return HTMLResponse(render("landing_nothing.html"), 404, {"x-robots-tag": "noindex, nofollow"})
    path, looks = checkouts.path_of(link), looks_of(n)
    if template == "paying.html" and found.state not in ("preparing", "open"):
        return to(path)
    url = calls.open_link(resources.seal, found.sealed_url, call_id=found.call_id) if found.state == "open" else None
    is_waiting = not found.is_settled and not is_left and looks < LOOKS_MAX
    return shop.answer(
        template,
        landing=found,
        path=path,
        pay_url=url if url and urlsplit(url).scheme in ("https", "http") else None,
        buy_path=f"/buy/{shop.tenant}/{found.again}" if found.again else None,
        looks=looks,
        is_given_up=looks >= LOOKS_MAX,
        refresh_s=pause_s(looks) if is_waiting else None,
        is_left=is_left,
    )


async def _start(request: Request, found: BuyLink, token: tokens.Token, *, link: str, email: str) -> UUID:
    """Write down the checkout; return its call. Raises as `checkouts.start`."""
    resources = resources_of(request)
    wanted = checkouts.Wanted(
        lines=[(found.lookup_key, 1)],
        base_url=resources.settings.public_url or str(request.base_url).rstrip("/"),
        cancel_url=None,
        account_id=found.account_id,
        email=email,
        link=link,
    )
    try:
        async with resources.db.tenant(token.tenant_id) as tx:
            await checkouts.start(tx, tenant_id=token.tenant_id, wanted=wanted, actor=_BUYER)
    except calls.CallKeyReused:
        pass  # The same form, sent twice at once: the other one has started it.
    async with resources.db.tenant(token.tenant_id) as tx:
        call_id = await checkouts.started(tx, token)
    if call_id is None:
        raise BuyFormInvalid("This form is not as it was shown.", hint="Open the page again, and send it from there.")
    return call_id


async def _offer(tx: Transaction, tenant_id: UUID, lookup_key: str) -> BuyLink:
    if not lookup_key.isprintable():
        raise NotForSale("Nothing is sold at this address.", hint="Ask whoever gave you the link for a new one.")
    return await offer_of(tx, tenant_id=tenant_id, lookup_key=lookup_key)


def _offered(shop: Shop, found: BuyLink, *, link: str, email: str = "", is_wrong: bool = False) -> Response:
    return shop.answer(
        "buy.html",
        status=422 if is_wrong else 200,
        offer=found,
        every=_every(found),
        granted=grants_in_words(found.grants),
        link=link,
        email=email[:_EMAIL_MAX],
        is_wrong=is_wrong,
        money=Money(found.money.minor, found.money.currency),
    )


async def shop_of(tx: Transaction, tenant_id: UUID) -> Shop:
    """Return a business as its customers see it. Raises BusinessNotFound."""
    own_name = await tx.fetchval(_BUSINESS, tenant_id)
    if own_name is None:
        raise BusinessNotFound("There is no business at this address.", hint="Ask whoever gave you the address.")
    theme = await theme_of(tx, tenant_id=tenant_id)
    name = theme.name or own_name
    zone = await time_zone_of(tx, tenant_id=tenant_id)
    sheet = sha256(_sheet(theme).encode()).hexdigest()[:12] if theme.accent else None
    return Shop(ids.show(ids.TENANT, tenant_id), name, theme, zone, sheet)


async def _count(request: Request, resources: Resources) -> None:
    """Count a purchase by its address, as checkouts of users are. Raises RateLimited."""
    address = source_of(client_address(request.scope, resources.settings))
    count = await resources.limits.count(Limit("buy", resources.settings.rate_checkout), f"buy {address}")
    tell(request, count)
    if not count.is_admitted:
        raise RateLimited(count)


def _sheet(theme: Theme) -> str:
    if theme.accent is None:
        return ""
    shades = shades_of(theme.accent)
    return (
        f":root {{ --accent: light-dark({shades.light}, {shades.dark});"
        f" --on-accent: light-dark({shades.on_light}, {shades.on_dark}); }}\n"
    )


def _every(found: BuyLink) -> str:
    if found.interval is None:
        return ""
    return f"a {found.interval}" if found.interval_count == 1 else f"every {found.interval_count} {found.interval}s"


def is_address(text: str) -> bool:
    """Return whether a text reads like an e-mail address."""
    local, at, host = text.rpartition("@")
    return bool(local and at and host) and " " not in text and len(text) <= _EMAIL_MAX and "@" not in local


def looks_of(text: str) -> int:
    """Return how often a page has asked for itself, as its address says."""
    return min(int(text), LOOKS_MAX) if text.isascii() and text.isdigit() and len(text) <= len(str(LOOKS_MAX)) else 0


def pause_s(looks: int) -> int:
    """Return how long to wait before the next look: news come within seconds, or late."""
    return 2 if looks < 10 else 10  # noqa: PLR2004 - the first twenty seconds
