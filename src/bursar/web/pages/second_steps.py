"""The second factor's pages: the code at the door, and setting it up, renewing and switching it off in one's account."""

from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bursar.kernel.auth import public, signed_in
from bursar.kernel.errors import DomainError
from bursar.kernel.identity import second_factor, throttle
from bursar.kernel.resources import resources_of
from bursar.kernel.security import observe
from bursar.web.pages import cookies
from bursar.web.pages.account import own_id, proven
from bursar.web.pages.admission import SignInNeeded, recognised
from bursar.web.pages.routing import PageRoute, safe_next
from bursar.web.pages.templating import render
from bursar.web.pages.visits import Visiting, posted, require_same_origin, to

CODE_LENGTH_MAX = 64

router = APIRouter(route_class=PageRoute)


@router.get("/sign-in/code")
@public
async def code_asked(request: Request, next: Annotated[str | None, Query()] = None) -> Response:  # noqa: A002
    """Ask whoever showed the password for the code."""
    found = await recognised(request)
    if found is None or not found.session.is_pending:
        raise SignInNeeded
    return _asked(request, next_path=safe_next(next))


@router.post("/sign-in/code")
@public
async def code_shown(request: Request) -> Response:
    """Open the session that waited for the code."""
    require_same_origin(request)
    resources, fields = resources_of(request), await posted(request)
    found = await recognised(request)
    if found is None or not found.session.is_pending:
        raise SignInNeeded
    next_path, device = safe_next(fields.get("next")), cookies.device_of(request)
    try:
        token = await second_factor.admit(
            resources.db,
            resources.seal,
            session=found.session,
            code=fields.get("code", "")[:CODE_LENGTH_MAX],
            device=device,
            now=resources.now(),
        )
    except (second_factor.CodeWrong, throttle.SignInLimited) as refusal:
        tenant_id, actor = found.principal.tenant_id, found.principal.actor
        await observe(
            resources,
            tenant_id=tenant_id,
            kind="sign_in_failed",
            actor=actor,
            address=device.address,
            detail=refusal.code,
        )
        return _asked(request, next_path=next_path, refusal=refusal)
    return cookies.admit(to(next_path), token, request=request)


@router.post("/account/second-factor")
@signed_in
async def prepare(visit: Visiting) -> Response:
    """Make a secret and show it."""
    whose, _ = await proven(visit)
    await second_factor.prepare(visit.resources.db, visit.resources.seal, whose=whose)
    return to("/account/second-factor")


@router.get("/account/second-factor")
@signed_in
async def setting_up(visit: Visiting) -> Response:
    """Show the secret, to be scanned or typed, and ask for a first code."""
    async with visit.open() as page:
        made = await second_factor.setup(
            page.tx, visit.resources.seal, tenant_id=visit.tenant_id, user_id=own_id(visit)
        )
        if made is None:
            return to("/account")
        # The picture is drawn by the library from an address that we wrote; it holds no markup of anybody else.
        return page.answer("second_factor.html", setup=made, picture=Markup(made.picture))  # noqa: S704


@router.post("/account/second-factor/on")
@signed_in
async def switch_on(visit: Visiting) -> Response:
    """Switch it on, and show the recovery codes this once."""
    user_id, fields = own_id(visit), await visit.form()
    async with visit.open() as page:
        codes, token = await second_factor.switch_on(
            page.tx,
            visit.resources.seal,
            tenant_id=visit.tenant_id,
            user_id=user_id,
            session_id=visit.session.id,
            code=fields.get("code", "")[:CODE_LENGTH_MAX],
            now=visit.now,
        )
        answer = page.answer("recovery_codes.html", codes=codes)
    return cookies.admit(answer, token, request=visit.request)


@router.post("/account/second-factor/codes")
@signed_in
async def renew_codes(visit: Visiting) -> Response:
    """Replace the recovery codes, and show the new ones this once."""
    whose, _ = await proven(visit)
    async with visit.open() as page:
        codes = await second_factor.new_codes(page.tx, tenant_id=visit.tenant_id, user_id=whose.id, now=visit.now)
        return page.answer("recovery_codes.html", codes=codes)


@router.post("/account/second-factor/off")
@signed_in
async def switch_off(visit: Visiting) -> Response:
    """Switch it off."""
    whose, _ = await proven(visit)
    async with visit.open() as page:
        token = await second_factor.switch_off(
            page.tx, tenant_id=visit.tenant_id, user_id=whose.id, session_id=visit.session.id, now=visit.now
        )
    return cookies.admit(to("/account?done=off"), token, request=visit.request)


def _asked(request: Request, *, next_path: str, refusal: DomainError | None = None) -> Response:
    page = render(
        "code.html",
        now=resources_of(request).now(),
        next_path=next_path,
        refused=f"{refusal.message} {refusal.hint}".strip() if refusal else None,
    )
    return HTMLResponse(page, refusal.status if refusal else 200)
