"""The door: sign in with an API key, enter with a ticket, leave."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bursar.kernel.auth import Keys
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.http.addresses import client_address
from bursar.kernel.resources import Resources, resources_of
from bursar.web.pages.routing import PageRoute, safe_next
from bursar.web.pages.session import make_session, read_ticket
from bursar.web.pages.templating import render
from bursar.web.pages.visits import Visiting, admit, dismiss, posted, require_same_origin

KEY_LENGTH_MAX = 200

router = APIRouter(route_class=PageRoute)


@router.get("/sign-in")
async def door(request: Request, next: Annotated[str | None, Query()] = None) -> Response:  # noqa: A002 - the address's word
    """Show the door."""
    return _door(resources_of(request), next_path=safe_next(next))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Let in whoever shows an API key that is good."""
    resources = resources_of(request)
    require_same_origin(request, resources)
    fields = await posted(request)
    next_path = safe_next(fields.get("next"))
    keys: Keys = request.app.state.keys
    try:
        shown = fields.get("api_key", "").strip()[:KEY_LENGTH_MAX]
        address = client_address(request.scope, resources.settings)
        principal = await keys.principal(resources, shown, address=address)
    except Unauthenticated:
        return _door(resources, next_path=next_path, refused="This API key is not valid here.", status=401)
    token = make_session(
        resources.settings.secret_key, tenant_id=principal.tenant_id, api_key_id=principal.id, now=resources.now()
    )
    return admit(RedirectResponse(next_path, status_code=303), token, request=request, resources=resources)


@router.get("/enter")
async def show_ticket(request: Request, ticket: Annotated[str, Query()] = "") -> Response:
    """Exchange a ticket for a session at once when a person opened the address; ask first when another site led here."""
    resources = resources_of(request)
    read_ticket(resources.settings.secret_key, ticket, resources.now())
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return _entered(request, resources, ticket)
    answer = HTMLResponse(render("enter.html", now=resources.now(), ticket=ticket))
    return _unreferred(answer)


@router.post("/enter")
async def enter(request: Request) -> Response:
    """Exchange a ticket for a session."""
    resources = resources_of(request)
    require_same_origin(request, resources)
    fields = await posted(request)
    return _entered(request, resources, fields.get("ticket", ""))


@router.post("/sign-out")
async def sign_out(visit: Visiting) -> Response:
    """Leave."""
    await visit.form()
    return dismiss(RedirectResponse("/sign-in", status_code=303), request=visit.request, resources=visit.resources)


def _entered(request: Request, resources: Resources, ticket: str) -> Response:
    secret_key, now = resources.settings.secret_key, resources.now()
    tenant_id = read_ticket(secret_key, ticket, now)
    token = make_session(secret_key, tenant_id=tenant_id, api_key_id=None, now=now)
    answer = RedirectResponse("/", status_code=303)
    return _unreferred(admit(answer, token, request=request, resources=resources))


def _unreferred(answer: Response) -> Response:
    """The address holds a ticket: it is told to nobody."""
    answer.headers["referrer-policy"] = "no-referrer"
    return answer


def _door(resources: Resources, *, next_path: str, refused: str | None = None, status: int = 200) -> Response:
    return HTMLResponse(render("sign_in.html", now=resources.now(), next_path=next_path, refused=refused), status)
