"""Pages for people who cannot sign in yet, or not any more: forgotten passwords, mailed links."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bursar.kernel import tenancy
from bursar.kernel.auth import public
from bursar.kernel.identity.choosing import ask_for_reset, choose_by_link, chooser_by_link, verify_email
from bursar.kernel.identity.passwords import LENGTH_MIN, PasswordRefused
from bursar.kernel.resources import resources_of
from bursar.web.pages import cookies
from bursar.web.pages.entrance import BUSINESS_LENGTH_MAX
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.templating import render
from bursar.web.pages.visits import posted, require_same_origin, to

TokenText = Annotated[str, Query(max_length=200)]

router = APIRouter(route_class=PageRoute)


@router.get("/forgot")
@public
async def forgotten(request: Request) -> Response:
    """Ask whose password is forgotten."""
    return await _forgot(request, is_sent=False)


@router.post("/forgot")
@public
async def ask_reset(request: Request) -> Response:
    """Promise a mail to whoever has this address, and say the same to everybody."""
    require_same_origin(request)
    resources, fields = resources_of(request), await posted(request)
    tenant_id = await tenancy.only_tenant(resources.db)
    if tenant_id is None:
        tenant_id = await tenancy.tenant_called(resources.db, fields.get("business", "")[:BUSINESS_LENGTH_MAX])
    if tenant_id is not None:
        await ask_for_reset(
            resources.db,
            tenant_id=tenant_id,
            email=fields.get("email", ""),
            device=cookies.device_of(request),
            now=resources.now(),
        )
    return await _forgot(request, is_sent=True)


@router.get("/accept")
@public
async def accepting(request: Request, token: TokenText = "") -> Response:
    """Show the form behind an invitation."""
    return await _choosing(request, token)


@router.get("/reset")
@public
async def resetting(request: Request, token: TokenText = "") -> Response:
    """Show the form behind a reset's link."""
    return await _choosing(request, token)


@router.post("/accept")
@public
async def accept(request: Request) -> Response:
    """Choose the first password."""
    return await _chosen(request)


@router.post("/reset")
@public
async def reset(request: Request) -> Response:
    """Choose a new password."""
    return await _chosen(request)


@router.get("/verify")
@public
async def verifying(request: Request, token: TokenText = "") -> Response:
    """Ask for a press of a button: mail scanners open addresses, too."""
    return HTMLResponse(render("verify.html", now=resources_of(request).now(), token=token))


@router.post("/verify")
@public
async def verify(request: Request) -> Response:
    """Note that mail to this address arrives."""
    require_same_origin(request)
    resources, fields = resources_of(request), await posted(request)
    await verify_email(resources.db, fields.get("token", ""), now=resources.now())
    return to("/sign-in?done=verified")


async def _choosing(request: Request, token: str, *, refused: str | None = None, status: int = 200) -> Response:
    resources = resources_of(request)
    chooser = await chooser_by_link(resources.db, token, now=resources.now())
    page = render(
        "choose_password.html",
        now=resources.now(),
        chooser=chooser,
        token=token,
        path=request.url.path,
        length_min=LENGTH_MIN,
        refused=refused,
    )
    return HTMLResponse(page, status)


async def _chosen(request: Request) -> Response:
    require_same_origin(request)
    resources, fields = resources_of(request), await posted(request)
    token, password = fields.get("token", ""), fields.get("password", "")
    if password != fields.get("again", ""):
        return await _choosing(request, token, refused="The two passwords differ.", status=422)
    try:
        await choose_by_link(
            resources.db,
            resources.passwords,
            text=token,
            password=password,
            device=cookies.device_of(request),
            now=resources.now(),
        )
    except PasswordRefused as refusal:
        return await _choosing(request, token, refused=refusal.message, status=refusal.status)
    return cookies.dismiss(to("/sign-in?done=password"), request=request)


async def _forgot(request: Request, *, is_sent: bool) -> Response:
    resources = resources_of(request)
    page = render(
        "forgot.html",
        now=resources.now(),
        asks_business=await tenancy.only_tenant(resources.db) is None,
        business=cookies.remembered_business(request),
        is_sent=is_sent,
    )
    return HTMLResponse(page)
