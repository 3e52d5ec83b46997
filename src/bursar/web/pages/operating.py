"""The operators' pages: sign in to the installation, see its businesses, and act for one with a reason."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bursar.kernel import ids, tenancy
from bursar.kernel.auth import for_operators, public, signed_in
from bursar.kernel.auth.pace import count_sign_in
from bursar.kernel.identity import operators
from bursar.kernel.identity.operators import Operator
from bursar.kernel.identity.passwords import LENGTH_MIN, PasswordRefused
from bursar.kernel.identity.signing_in import SignInRefused
from bursar.kernel.identity.throttle import SignInLimited
from bursar.kernel.resources import resources_of
from bursar.kernel.security import observe
from bursar.web.pages import cookies, menu
from bursar.web.pages.entrance import leave_first
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.templating import render
from bursar.web.pages.visits import Visiting, checked_form, posted, require_same_origin, to
from bursar.web.tickets import form_token

router = APIRouter(route_class=PageRoute)


@router.get("/operator/sign-in")
@public
async def operators_door(request: Request) -> Response:
    """Show the operators' door."""
    return operator_page(request, "operator_sign_in.html", refused=None)


@router.post("/operator/sign-in")
@public
async def operator_signs_in(request: Request) -> Response:
    """Let in an operator who shows the password."""
    require_same_origin(request)
    resources, fields, device = resources_of(request), await posted(request), cookies.device_of(request)
    await count_sign_in(request)
    try:
        token = await operators.sign_in(
            resources.db,
            resources.passwords,
            email=fields.get("email", ""),
            password=fields.get("password", ""),
            device=device,
            now=resources.now(),
        )
    except (SignInRefused, SignInLimited) as refusal:
        await observe(
            resources,
            tenant_id=None,
            kind="sign_in_failed",
            actor="",
            address=device.address,
            detail=refusal.code,
        )
        return operator_page(request, "operator_sign_in.html", refused=refusal.message, status=refusal.status)
    return cookies.admit(to("/operator"), token, request=request, name=cookies.OPERATOR)


@router.get("/operator/accept")
@public
async def choosing(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Show the form behind an operator's link."""
    return await _choosing(request, token)


@router.post("/operator/accept")
@public
async def chosen(request: Request) -> Response:
    """Set an operator's password."""
    require_same_origin(request)
    resources, fields = resources_of(request), await posted(request)
    token, password = fields.get("token", ""), fields.get("password", "")
    if password != fields.get("again", ""):
        return await _choosing(request, token, refused="The two passwords differ.", status=422)
    try:
        await operators.choose(resources.db, resources.passwords, text=token, password=password, now=resources.now())
    except PasswordRefused as refusal:
        return await _choosing(request, token, refused=refusal.message, status=refusal.status)
    return to("/operator/sign-in")


@router.get("/operator")
@for_operators
async def businesses(request: Request) -> Response:
    """List the businesses of the installation."""
    found = await tenancy.tenants(resources_of(request).db)
    return operator_page(
        request, "operator.html", businesses=[(ids.show(ids.TENANT, one.id), one) for one in found], refused=None
    )


@router.post("/operator/act")
@for_operators
async def act(request: Request) -> Response:
    """Begin to act for a business."""
    resources, who = resources_of(request), _operator(request)
    fields = await checked_form(request, who.session_id)
    token = await operators.act_for(
        resources.db,
        who=who,
        tenant_id=ids.parse(ids.TENANT, fields.get("business", "")),
        reason=fields.get("reason", ""),
        device=cookies.device_of(request),
        now=resources.now(),
    )
    await leave_first(request)
    return cookies.admit(to("/"), token, request=request)


@router.post("/operator/sign-out")
@for_operators
async def operator_signs_out(request: Request) -> Response:
    """Leave."""
    who, resources = _operator(request), resources_of(request)
    await checked_form(request, who.session_id)
    await operators.sign_out(resources.db, session_id=who.session_id, now=resources.now())
    return cookies.dismiss(to("/operator/sign-in"), request=request, name=cookies.OPERATOR)


@router.post("/acting/stop")
@signed_in
async def stop(visit: Visiting) -> Response:
    """Act for the business no more."""
    await visit.form()
    if visit.session.reason:
        await operators.stop_acting(visit.resources.db, session=visit.session, now=visit.now)
    return cookies.dismiss(to("/operator"), request=visit.request)


def _operator(request: Request) -> Operator:
    found: Operator = request.state.operator
    return found


async def _choosing(request: Request, token: str, *, refused: str | None = None, status: int = 200) -> Response:
    resources = resources_of(request)
    email = await operators.email_by_link(resources.db, token, now=resources.now())
    return operator_page(
        request,
        "operator_password.html",
        email=email,
        token=token,
        length_min=LENGTH_MIN,
        refused=refused,
        status=status,
    )


def operator_page(request: Request, template: str, *, status: int = 200, **views: Any) -> Response:
    """Return a page of the operators' own."""
    resources = resources_of(request)
    who: Operator | None = getattr(request.state, "operator", None)
    token = form_token(resources.settings.secret_key, who.session_id) if who else ""
    page = render(
        template,
        now=resources.now(),
        operator=who,
        form_token=token,
        here=request.url.path,
        room=menu.OPERATORS,
        **views,
    )
    return HTMLResponse(page, status)
