"""The outermost layer of HTTP: a correlation id and a log line for every request, safe headers, no escape for bugs."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bursar.kernel import audit, ids, tracing
from bursar.kernel.http.problems import CORRELATION_HEADER, internal_error, send_problem

_SANE = re.compile(r"[A-Za-z0-9._:-]{8,128}", re.ASCII)
_NAMES = (CORRELATION_HEADER, "x-request-id")
_QUIET = ("/health", "/metrics", "/static")

_SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
_NOT_STORED = (b"cache-control", b"no-store")
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
"""Two years: browsers that came once over https come back no other way."""

Headers = tuple[tuple[bytes, bytes], ...]
Observer = Callable[[str, str, int, float], None]
"""Told of every answered request: method, route template, status, seconds."""

_log = structlog.get_logger("bursar.http")


def _peer_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


class Edge:
    """Wraps an application. The correlation id is in `scope["correlation_id"]`, in every log line and in the answer.

    address_of: from where a request comes, as the audit trail and the log are to say it.
    is_https: callers reach this application by https, whatever a proxy in front of it speaks with us.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        observe: Observer | None = None,
        address_of: audit.AddressOf = _peer_of,
        is_https: bool = False,
    ) -> None:
        self._app = app
        self._observe = observe
        self._address_of = address_of
        self._headers = safe_headers(is_https=is_https)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        correlation_id = correlation_id_of(headers)
        scope["correlation_id"] = correlation_id
        answer = _Answer(send, scope, self._headers, is_api=scope["path"].startswith("/v1/"))
        began = time.perf_counter()
        asked = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "bursar.correlation_id": correlation_id,
        }
        with (
            structlog.contextvars.bound_contextvars(correlation_id=correlation_id),
            tracing.span(scope["method"], asked, parent=headers) as span,
            audit.on_behalf_of(scope, self._address_of),
        ):
            try:
                await self._app(scope, receive, answer)
            except Exception as error:  # noqa: BLE001 - the edge: whatever escaped is logged here, once
                _log.exception("request_failed", method=scope["method"], path=scope["path"])
                tracing.report(error, correlation_id=correlation_id, route=_route_of(scope))
                if not answer.status:
                    await send_problem(internal_error(), answer, path=scope["path"], correlation_id=correlation_id)
            self._tell(scope, answer.status, time.perf_counter() - began, span)

    def _tell(self, scope: Scope, status: int, seconds: float, span: Any) -> None:
        route = _route_of(scope)
        tracing.describe(span, {"http.route": route, "http.response.status_code": status})
        if self._observe:
            self._observe(scope["method"], route, status, seconds)
        if not scope["path"].startswith(_QUIET):
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                route=route,
                status=status,
                duration_ms=round(seconds * 1000, 2),
                address=self._address_of(scope),
                **scope.get("log", {}),
            )


def safe_headers(*, is_https: bool) -> Headers:
    """Return what every answer says to browsers. is_https: callers come by https."""
    return (*_SAFE_HEADERS, _HTTPS_ONLY) if is_https else _SAFE_HEADERS


def api_headers(*, is_https: bool) -> Headers:
    """Return the same for answers of the API, which nobody may store."""
    return (*safe_headers(is_https=is_https), _NOT_STORED)


class _Answer:
    """Passes messages on, adding headers to the first, and remembers the status."""

    def __init__(self, send: Send, scope: Scope, safe: Headers, *, is_api: bool) -> None:
        self._send = send
        self._scope = scope
        self._safe = safe
        self._is_api = is_api
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": self._with_defaults(list(message.get("headers", ())))}
        await self._send(message)

    def _with_defaults(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        wanted = [*self._safe, (CORRELATION_HEADER.encode(), self._scope["correlation_id"].encode())]
        wanted += self._scope.get("answer_headers", ())
        if self._is_api:
            wanted.append(_NOT_STORED)
        return headers + [(name, value) for name, value in wanted if name not in present]


def headers_of(scope: Scope) -> dict[str, str]:
    """Return a request's headers by their lower-case names, the last of equal ones."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def correlation_id_of(headers: Mapping[str, str]) -> str:
    """Return the caller's own correlation id where it is a sane one, else a new one. headers: lower-case names."""
    for name in _NAMES:
        if _SANE.fullmatch(headers.get(name, "")):
            return headers[name]
    return ids.encode(ids.new())


def _route_of(scope: Scope) -> str:
    """Return the template of the route that answered, so that labels stay few."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return str(path) if path else "unmatched"
