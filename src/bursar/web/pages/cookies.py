"""The cookies: a session's token, an operator's, and which business was chosen last."""

from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel.http.addresses import client_address
from bursar.kernel.identity.people import Device
from bursar.kernel.identity.sessions import LIFE
from bursar.kernel.resources import resources_of

SESSION: Final = "bursar_session"
OPERATOR: Final = "bursar_operator"
BUSINESS: Final = "bursar_business"
_REMEMBERED: Final = timedelta(days=365)


def token_in(request: Request, name: str = SESSION) -> str:
    """Return the token that the browser shows, or an empty text."""
    return request.cookies.get(cookie_name(name, is_secure=is_secure(request)), "")


def admit(answer: Response, token: str, *, request: Request, name: str = SESSION) -> Response:
    """Set the cookie of a session on an answer."""
    secure = is_secure(request)
    answer.set_cookie(
        cookie_name(name, is_secure=secure),
        token,
        max_age=int(LIFE.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def dismiss(answer: Response, *, request: Request, name: str = SESSION) -> Response:
    """Take the cookie of a session back."""
    secure = is_secure(request)
    answer.delete_cookie(cookie_name(name, is_secure=secure), path="/", secure=secure, httponly=True, samesite="strict")
    return answer


def remember_business(answer: Response, text: str, *, request: Request) -> Response:
    """Keep what was typed as business, so that it is there the next time. It is no secret and opens nothing."""
    answer.set_cookie(
        BUSINESS,
        text.encode().hex(),
        max_age=int(_REMEMBERED.total_seconds()),
        path="/sign-in",
        secure=is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return answer


def remembered_business(request: Request) -> str:
    """Return what was typed as business the last time, or an empty text."""
    try:
        return bytes.fromhex(request.cookies.get(BUSINESS, "")).decode()[:200]
    except ValueError:
        return ""


def cookie_name(name: str, *, is_secure: bool) -> str:
    """Return the cookie's name; the prefix makes browsers refuse one set by a neighbouring host or without https."""
    return f"__Host-{name}" if is_secure else name


def is_secure(request: Request) -> bool:
    """True when the browser speaks https with us, or with the proxy in front."""
    return request.url.scheme == "https" or resources_of(request).settings.is_https


def device_of(request: Request) -> Device:
    """Return what the request comes from."""
    address = client_address(request.scope, resources_of(request).settings)
    return Device.of(request.headers.get("user-agent", ""), address)
