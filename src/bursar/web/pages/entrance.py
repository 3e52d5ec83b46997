"""The door: sign in with a password or an API key, enter with a ticket, leave."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bursar.kernel import audit, ids, tenancy
from bursar.kernel.auth import Keys, Principal, public, signed_in
from bursar.kernel.auth.pace import count_sign_in, recognised_in_time
from bursar.kernel.errors import DomainError, Unauthenticated
from bursar.kernel.identity import sessions, tokens
from bursar.kernel.identity.signing_in import SignInRefused, sign_in
from bursar.kernel.identity.throttle import SignInLimited
from bursar.kernel.rate_limits import RateLimited
from bursar.kernel.resources import resources_of
from bursar.kernel.security import observe
from bursar.web.pages import cookies
from bursar.web.pages.pace import for_people
from bursar.web.pages.routing import PageRoute, safe_next
from bursar.web.pages.templating import render
from bursar.web.pages.visits import Visiting, posted, require_same_origin, to
from bursar.web.tickets import read_ticket

KEY_LENGTH_MAX = 200
BUSINESS_LENGTH_MAX = 200

router = APIRouter(route_class=PageRoute)


@router.get("/sign-in")
@public
async def door(
    request: Request,
    next: Annotated[str | None, Query()] = None,  # noqa: A002 - the address's word
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the door."""
    return await _door(request, {"next": safe_next(next)}, done=done)


@router.post("/sign-in")
@public
async def enter_by_proof(request: Request) -> Response:
    """Let in whoever shows a password or an API key that is good."""
    require_same_origin(request)
    fields = await posted(request)
    await count_sign_in(request)
    return await (_by_key(request, fields) if "api_key" in fields else _by_password(request, fields))


@router.get("/enter")
@public
async def show_ticket(request: Request, ticket: Annotated[str, Query()] = "") -> Response:
    """Exchange a ticket for a session at once when a person opened the address; ask first when another site led here."""
    resources = resources_of(request)
    read_ticket(resources.settings.secret_key, ticket, resources.now())
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return await _by_ticket(request, ticket)
    return HTMLResponse(render("enter.html", now=resources.now(), ticket=ticket))


@router.post("/enter")
@public
async def enter(request: Request) -> Response:
    """Exchange a ticket for a session."""
    require_same_origin(request)
    fields = await posted(request)
    return await _by_ticket(request, fields.get("ticket", ""))


@router.post("/sign-out")
@signed_in
async def sign_out(visit: Visiting) -> Response:
    """Leave: the session ends, whoever else may have its token."""
    await visit.form()
    subject = ids.show(ids.SESSION, visit.session.id)
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        await sessions.end(tx, tenant_id=visit.tenant_id, session_id=visit.session.id, now=visit.now)
        await audit.record(
            tx, tenant_id=visit.tenant_id, actor=visit.actor, action="session.left", subject=subject, changes={}
        )
    return cookies.dismiss(to("/sign-in"), request=visit.request)


def _unreferred(answer: Response) -> Response:
    """The address held a secret: it is told to nobody. (A page with a form may not say so: its post would have no origin.)"""
    answer.headers["referrer-policy"] = "no-referrer"
    return answer


async def leave_first(request: Request) -> None:
    """End the session that the browser still shows: whoever signs in gets a new one."""
    token = tokens.read(cookies.token_in(request))
    if token is None:
        return
    resources = resources_of(request)
    async with resources.db.tenant(token.tenant_id) as tx:
        if await sessions.session(tx, token, now=resources.now()):
            await sessions.end(tx, tenant_id=token.tenant_id, session_id=token.id, now=resources.now())


async def _by_password(request: Request, fields: dict[str, str]) -> Response:
    resources = resources_of(request)
    device = cookies.device_of(request)
    business = fields.get("business", "")[:BUSINESS_LENGTH_MAX]
    tenant_id = await tenancy.only_tenant(resources.db)
    if tenant_id is None and business:
        tenant_id = await tenancy.tenant_called(resources.db, business)
    try:
        signed = await sign_in(
            resources.db,
            resources.passwords,
            tenant_id=tenant_id,
            email=fields.get("email", ""),
            password=fields.get("password", ""),
            device=device,
            now=resources.now(),
        )
    except (SignInRefused, SignInLimited) as refusal:
        await _observe(request, tenant_id, device.address, refusal)
        return await _door(request, fields, refusal=refusal)
    await leave_first(request)
    next_path = safe_next(fields.get("next"))
    answer = to(f"/sign-in/code?{urlencode({'next': next_path})}" if signed.is_pending else next_path)
    if business:
        cookies.remember_business(answer, business, request=request)
    return cookies.admit(answer, signed.token, request=request)


async def _by_key(request: Request, fields: dict[str, str]) -> Response:
    resources = resources_of(request)
    keys: Keys = request.app.state.keys
    address = cookies.device_of(request).address
    key = fields["api_key"].strip()[:KEY_LENGTH_MAX]

    async def recognise(_: Request) -> Principal:
        return await keys.principal(resources, key, address=address)

    try:
        principal = await recognised_in_time(request, recognise, credential=key)
    except (Unauthenticated, RateLimited) as error:
        refusal = error if isinstance(error, RateLimited) else Unauthenticated("This API key is not valid here.")
        await _observe(request, None, address, refusal)
        return await _door(request, fields, refusal=refusal)
    await leave_first(request)
    token = await _opened(request, principal.tenant_id, "key", principal.id)
    return cookies.admit(to(safe_next(fields.get("next"))), token, request=request)


async def _by_ticket(request: Request, ticket: str) -> Response:
    resources = resources_of(request)
    tenant_id = read_ticket(resources.settings.secret_key, ticket, resources.now())
    await leave_first(request)
    token = await _opened(request, tenant_id, "operator", None)
    return _unreferred(cookies.admit(to("/"), token, request=request))


async def _opened(request: Request, tenant_id: UUID, kind: sessions.Kind, who_id: UUID | None) -> str:
    resources, device = resources_of(request), cookies.device_of(request)
    async with resources.db.tenant(tenant_id) as tx:
        token = await sessions.open_session(
            tx, tenant_id=tenant_id, kind=kind, who_id=who_id, device=device, now=resources.now()
        )
        actor = f"{kind}:{ids.show(ids.API_KEY, who_id)}" if who_id else kind
        told = {"with": "API key" if who_id else "ticket"}
        await audit.record(tx, tenant_id=tenant_id, actor=actor, action="session.opened", subject=None, changes=told)
    return token


async def _observe(request: Request, tenant_id: UUID | None, address: str, refusal: DomainError) -> None:
    await observe(
        resources_of(request),
        tenant_id=tenant_id,
        kind="sign_in_failed",
        actor="",
        address=address,
        detail=refusal.code,
    )


async def _door(
    request: Request, fields: dict[str, str], *, refusal: DomainError | None = None, done: str = ""
) -> Response:
    """Show the form, with what was typed except secrets."""
    resources = resources_of(request)
    told = for_people(refusal) if refusal else ()
    page = render(
        "sign_in.html",
        now=resources.now(),
        next_path=safe_next(fields.get("next")),
        asks_business=await tenancy.only_tenant(resources.db) is None,
        business=fields.get("business", "")[:BUSINESS_LENGTH_MAX] or cookies.remembered_business(request),
        email=fields.get("email", "")[:254],
        by_key="api_key" in fields,
        refused=" ".join(told).strip() or None,
        done=done,
    )
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal and refusal.retry_after_s else None
    return HTMLResponse(page, refusal.status if refusal else 200, headers=headers)
