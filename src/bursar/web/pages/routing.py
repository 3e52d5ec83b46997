"""Routes of pages: refusals become pages in the same style, and every answer carries the strict headers."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from bursar.kernel.auth import policy_of, public
from bursar.kernel.auth.refusals import observe_refusal, observe_suspicion
from bursar.kernel.errors import DomainError
from bursar.kernel.http.routes import LateRoute
from bursar.kernel.http.suspicion import suspicions_of_address
from bursar.web.pages.admission import OperatorNeeded, SecondFactorNeeded, SignInNeeded, admit
from bursar.web.pages.pace import for_people, is_scripted
from bursar.web.pages.templating import render

NEXT_LENGTH_MAX = 2_000
_NOT_PAGES = ("/v1/", "/static/", "/docs", "/openapi.json", "/health", "/metrics")
SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": SECURITY_POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
    "vary": "HX-Request",
}

_log = structlog.get_logger("bursar.pages")


class PageRoute(LateRoute):
    """A route whose answers are for people. It declares who they are (`needs`, `signed_in`, `public`), or cannot be made."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        self.policy = policy_of(endpoint)
        # The description is of the API alone.
        super().__init__(path, endpoint, **given | {"include_in_schema": False})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                await admit(request, self.policy)
                await _suspect(request)
                answer = await handle(request)
            except SignInNeeded:
                answer = _to_the_door(request)
            except SecondFactorNeeded:
                answer = _led_to(request, "/account?done=needed")
            except OperatorNeeded:
                answer = RedirectResponse("/operator/sign-in", status_code=303)
            except DomainError as refusal:
                answer = await _refused(request, refusal)
            except RequestValidationError:
                answer = refusal_page(
                    request,
                    400,
                    message="This address asks for something that does not exist.",
                    hint="Check the filters in it.",
                )
            except HTTPException as refusal:
                answer = refusal_page(request, refusal.status_code, message=str(refusal.detail))
            except Exception:  # noqa: BLE001 - the edge of a request: logged once, and told without internals
                _log.exception("page_failed", path=request.url.path, correlation_id=request.scope.get("correlation_id"))
                answer = refusal_page(request, 500, message="Something went wrong on our side.", hint="Try again.")
            for name, value in _HEADERS.items():
                answer.headers.setdefault(name, value)
            return answer

        return shown


async def _suspect(request: Request) -> None:
    found = suspicions_of_address(request.url.path, request.url.query)
    if found:
        await observe_suspicion(request, "address", found)


async def _refused(request: Request, refusal: DomainError) -> Response:
    await observe_refusal(request, refusal)
    message, hint = for_people(refusal)
    answer = refusal_page(request, refusal.status, message=message, hint=hint)
    if refusal.retry_after_s is not None:
        answer.headers["retry-after"] = str(refusal.retry_after_s)
    return answer


def refusal_page(request: Request, status: int, *, message: str, hint: str = "") -> Response:
    """Return what a person sees instead of a page: what happened and what to do, and no internals."""
    title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Refused"
    page = render(
        "refusal.html",
        now=datetime.now(UTC),
        status=status,
        title=title,
        message=message,
        hint=hint,
        correlation_id=request.scope.get("correlation_id"),
    )
    answer = HTMLResponse(page, status)
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def wants_page(request: Request) -> bool:
    """True when a person's browser asks, so that a refusal should be a page and not a problem document."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


class _LastResort(PageRoute):
    """Matches what nobody else did, but only where a person's browser asks outside the API."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["path"].startswith(_NOT_PAGES) or not wants_page(Request(scope)):
            return Match.NONE, {}
        return super().matches(scope)


@public
async def _nothing_here() -> Response:
    raise HTTPException(HTTPStatus.NOT_FOUND, "There is no page at this address.")


last_resort = APIRouter(route_class=_LastResort)
last_resort.add_api_route("/{path:path}", _nothing_here, methods=["GET", "HEAD"], include_in_schema=False)


def safe_next(target: str | None) -> str:
    """Return where to go after signing in: a path on this site, else the overview."""
    if not target or len(target) > NEXT_LENGTH_MAX or not target.isascii() or not target.isprintable():
        return "/"
    if not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc or parts.path.startswith(("/sign-", "/enter")) else target


def _to_the_door(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    door = "/sign-in?" + urlencode({"next": safe_next(wanted)})
    is_elsewhere = request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET"
    if is_elsewhere and not is_scripted(request):
        # The browser keeps a SameSite=Strict cookie back when another site's link leads here: ask again from here.
        return HTMLResponse(render("again.html"))
    return _led_to(request, door)


def _led_to(request: Request, path: str) -> Response:
    """Lead a page, or the page that asked for a part of it, to another one."""
    if request.headers.get("hx-request"):
        return Response(status_code=200, headers={"hx-redirect": path})
    if is_scripted(request):
        return Response(status_code=204)  # tells an EventSource not to come back
    return RedirectResponse(path, status_code=303)
