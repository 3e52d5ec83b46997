"""The frame of a business's own pages: its theme, who is signed in, and how a page is answered and a form is taken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bursar.apps.booking import people
from bursar.kernel import ids
from bursar.kernel.auth.pace import tell
from bursar.kernel.auth.refusals import FormRefused
from bursar.kernel.db import Transaction
from bursar.kernel.http.addresses import client_address, source_of
from bursar.kernel.identity import tokens
from bursar.kernel.rate_limits import Limit, RateLimited
from bursar.kernel.resources import Resources, resources_of
from bursar.web.pages.cookies import cookie_name, is_secure
from bursar.web.pages.shopping import Shop, shop_of
from bursar.web.pages.visits import posted, require_same_origin
from bursar.web.tickets import form_token

_POSTS_PER_CHECKOUT: Final = 4
"""How many forms a visitor sends for each checkout that he may start: sign-in, booking, cancelling and their repetitions."""


@dataclass(frozen=True, slots=True)
class Front:
    """A business's pages, as one visitor sees them. visitor: None: nobody is signed in."""

    request: Request
    resources: Resources
    tenant_id: UUID
    shop: Shop
    visitor: people.Visitor | None
    now: datetime

    @property
    def base(self) -> str:
        """The path of the business's first page."""
        return people.front_path(self.tenant_id)

    @property
    def actor(self) -> str:
        """How the audit trail names who looks."""
        return self.visitor.actor if self.visitor else people.ONLINE

    @property
    def site(self) -> str:
        """The address of this site, for links that lead here from elsewhere."""
        return self.resources.settings.public_url or str(self.request.base_url).rstrip("/")

    @property
    def outcome_wait(self) -> timedelta:
        """How long an answer waits for what a gateway is asked."""
        return timedelta(seconds=self.resources.settings.outcome_wait_s)

    def answer(self, template: str, *, status: int = 200, **views: Any) -> Response:
        """Return a page in the business's theme."""
        return self.shop.answer(
            f"booking/{template}",
            status=status,
            base=self.base,
            visitor=self.visitor,
            form_token=self._form_token,
            now=self.now,
            path=self.request.url.path,
            **views,
        )

    def to(self, path: str) -> Response:
        """Lead on to another of the business's pages, or to its first one where that is not one of them."""
        return RedirectResponse(self.page(path), status_code=303)

    def page(self, path: str) -> str:
        """Return a path, if it is one of this business's pages, else its first page's."""
        is_own = path == self.base or path.startswith((f"{self.base}/", f"{self.base}?"))
        is_sound = (
            path.isascii()
            and path.isprintable()
            and not set(path) & set(' \\"<>')
            and "//" not in path
            and ".." not in path
        )
        return path if is_own and is_sound else self.base

    async def form(self) -> dict[str, str]:
        """Return a posted form, counted by the visitor's address. Raises RateLimited, FormRefused.

        Of whoever is signed in it carries the session's token; nobody can make a browser send it from elsewhere.
        """
        await self._count()
        fields = await posted(self.request)
        given = fields.pop("form_token", "")
        if self.visitor and not compare_digest(given.encode("utf-8", "replace"), self._form_token.encode()):
            raise FormRefused(
                "This form belongs to another session.", hint="Go back, reload the page, and send it again."
            )
        return fields

    @property
    def _form_token(self) -> str:
        return form_token(self.resources.settings.secret_key, self.visitor.id) if self.visitor else ""

    async def _count(self) -> None:
        settings = self.resources.settings
        address = source_of(client_address(self.request.scope, settings))
        limit = Limit("visitor_form", settings.rate_checkout * _POSTS_PER_CHECKOUT)
        count = await self.resources.limits.count(limit, f"visitor {address}")
        tell(self.request, count)
        if not count.is_admitted:
            raise RateLimited(count)


@asynccontextmanager
async def opened(request: Request, business: str) -> AsyncIterator[tuple[Front, Transaction]]:
    """Open a business's page and its one transaction. What another site's page sends is refused before anything is looked at.

    Raises FormRefused, IdInvalid, BusinessNotFound.
    """
    if request.method == "POST":
        require_same_origin(request)
    resources, tenant_id = resources_of(request), ids.parse(ids.TENANT, business)
    async with resources.db.tenant(tenant_id) as tx:
        yield await front_of(tx, request, tenant_id=tenant_id), tx


async def front_of(tx: Transaction, request: Request, *, tenant_id: UUID) -> Front:
    """Return the frame of a business's page. Raises BusinessNotFound."""
    resources = resources_of(request)
    shop = await shop_of(tx, tenant_id)
    token = tokens.read(request.cookies.get(cookie_of(request, tenant_id), ""))
    now = resources.now()
    is_own = token is not None and token.tenant_id == tenant_id
    visitor = await people.visitor(tx, token, now=now) if token and is_own else None
    return Front(request, resources, tenant_id, shop, visitor, now)


def admit(answer: Response, token: str, *, request: Request, tenant_id: UUID) -> Response:
    """Set the cookie of a visitor's session. It comes along when a mail's link or the gateway's page leads here."""
    answer.set_cookie(
        cookie_of(request, tenant_id),
        token,
        max_age=int(people.LIFE.total_seconds()),
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
    return answer


def dismiss(answer: Response, *, request: Request, tenant_id: UUID) -> Response:
    """Take the cookie of a visitor's session back."""
    name, secure = cookie_of(request, tenant_id), is_secure(request)
    answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def cookie_of(request: Request, tenant_id: UUID) -> str:
    """Return the cookie's name: each business has its own."""
    return cookie_name(f"bursar_visitor_{ids.encode(tenant_id)}", is_secure=is_secure(request))
