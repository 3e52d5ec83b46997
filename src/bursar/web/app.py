"""The application of an API process: deliveries to intake, everything else to FastAPI."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from bursar import __version__, bootstrap
from bursar.alerts.traffic import Traffic
from bursar.kernel import tracing
from bursar.kernel.auth import Keys
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.http import Edge, api_headers, correlation_id_of, headers_of, send_problem
from bursar.kernel.http.addresses import client_address
from bursar.kernel.http.dispatch import Dispatch
from bursar.kernel.http.handlers import EXCEPTION_HANDLERS
from bursar.kernel.logs import configure_logs
from bursar.kernel.oidc import Tokens
from bursar.kernel.resources import Resources
from bursar.kernel.settings import Settings
from bursar.money.calls import Outside
from bursar.money.gateways.callers import Callers
from bursar.money.intake import Intake
from bursar.money.intake.endpoint import WebhookEndpoint
from bursar.web import operating, reference
from bursar.web.metrics import Metrics

WEBHOOKS: Final = "/v1/webhooks/"
_DELIVERY: Final = f"{WEBHOOKS}{{account}}"
_PAGES = "bursar.web.pages"


class Application:
    """An ASGI application. Deliveries bypass FastAPI: they are most of the traffic and need none of it."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.resources = Resources(settings, clock=clock, on_open=self._receive_on)
        self.metrics = Metrics(self.resources.security.totals, self.resources.slow)
        self.traffic = Traffic()
        self.callers = Callers(now=clock)
        self.api = _api(self.resources, self.metrics, self._lifespan)
        self.api.state.outside = Outside(self.callers.of, clock=clock)
        self._edge = Edge(
            self.api,
            observe=self._observe,
            address_of=lambda scope: client_address(scope, settings),
            is_https=settings.is_https,
        )
        self._intake: Intake | None = None
        self._webhooks: WebhookEndpoint | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(WEBHOOKS):
            await self._deliver(scope, receive, send)
        else:
            await self._edge(scope, receive, send)

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        with tracing.span("POST", {"http.route": _DELIVERY}) as span:
            status = await self._answer_delivery(scope, receive, send)
            tracing.describe(span, {"http.response.status_code": status})
        self._observe("POST", _DELIVERY, status, time.perf_counter() - began)

    def _observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self.metrics.observe(method, route, status, seconds)
        self.traffic.note(method, route, status, seconds)

    async def _answer_delivery(self, scope: Scope, receive: Receive, send: Send) -> int:
        if self._webhooks is None:
            headers = headers_of(scope)
            refusal = DatabaseUnavailable("the database does not answer yet", retry_after_s=5)
            safe = api_headers(is_https=self.resources.settings.is_https)
            await send_problem(refusal, send, path=scope["path"], correlation_id=correlation_id_of(headers), extra=safe)
            return refusal.status
        return await self._webhooks(scope, receive, send)

    async def _receive_on(self, db: Database) -> None:
        """Begin to take deliveries: the database answers."""
        self._intake = Intake(db, self.resources.seal, self.resources.settings)
        await self._intake.start()
        self.traffic.start(db)
        held = self.resources
        self._webhooks = WebhookEndpoint(self._intake, held.settings, held.limits, held.security)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.resources.open()
        try:
            yield
        finally:
            if self._intake:
                await self._intake.stop()
            await self.callers.close()
            await self.traffic.stop()
            await self.resources.close()


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Application:
    """Return the application of an API process. clock: what time it is, for tests."""
    configure_logs()
    return Application(settings, clock=clock)


def _api(resources: Resources, metrics: Metrics, lifespan: Callable[[FastAPI], object]) -> FastAPI:
    api = FastAPI(
        title="Bursar",
        version=__version__,
        summary="Takes the money and delivers what was paid for, exactly once, and can prove it.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,  # type: ignore[arg-type]
        exception_handlers=EXCEPTION_HANDLERS,
        redirect_slashes=False,
        routes=[*_operations()],
    )
    api.state.resources = resources
    api.state.keys = Keys()
    api.state.tokens = Tokens(resources.settings)
    api.state.grant_check = bootstrap.registry()
    api.state.reserved_spends = bootstrap.RESERVED_SPENDS
    api.state.metrics = metrics
    reference.install(api)
    api.router.routes.extend(_pages())
    api.router.middleware_stack = Dispatch(api.router)
    return api


@cache
def _operations() -> tuple[BaseRoute, ...]:
    """Return the API's routes. They hold nothing of one application, and to make them takes half a second.

    They are taken as they were declared: a router that includes another makes each of its routes again, when it is first asked.
    """
    return tuple(route for router in (operating.router, *bootstrap.routers()) for route in router.routes)


@cache
def _pages() -> tuple[BaseRoute, ...]:
    found = find_spec(_PAGES)
    if not found or not found.origin:
        return ()
    pages = import_module(_PAGES)
    return (*pages.ROUTES, Mount("/static", pages.static, name="static"))
