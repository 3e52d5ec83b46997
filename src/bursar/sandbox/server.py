"""The sandbox over HTTP: the API, the pages, the control of it, and two loops that let time pass and tell of events.

Everything that touches the file runs in this one thread and never waits inside a transaction; so requests are applied
one after the other, whatever their answers wait for.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bursar.sandbox import control, pages
from bursar.sandbox.clock import Clock
from bursar.sandbox.deliveries import Sender
from bursar.sandbox.gateway import Answer, Gateway, Request
from bursar.sandbox.refusals import Refusal, broken, too_many
from bursar.sandbox.store import Store
from bursar.sandbox.work import API_VERSION, new_id

BODY_BYTES_MAX: Final = 6 * 1_048_576
FILE: Final = "stripe.sqlite"
_TICK_S: Final = 0.25
_PURGE_EVERY_S: Final = 600.0
_STEPS_AT_ONCE: Final = 50
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
_log = structlog.get_logger(__name__)


class Application:
    """The ASGI application over one file.

    directory: where it is. token: opens the control. url: the server's own address. public_url: that of its pages, where
    it is not the one that a caller uses.
    """

    def __init__(
        self,
        directory: Path,
        *,
        token: str,
        url: str,
        public_url: str = "",
        is_open: bool = False,
        real: Callable[[], float] = time.time,
    ) -> None:
        store = Store(directory / FILE)
        self.gateway = Gateway(store, Clock(store, real), is_open=is_open)
        self._url = public_url or url
        self._public_url = public_url
        self._control = control.Control(self.gateway, token=token, wake=self.wake)
        self._running: set[tuple[str, str]] = set()
        self._wakes = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look at once for what is due."""
        self._wakes.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._loop = asyncio.create_task(self._pass_time())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await self._loop
        self.gateway.store.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass_time(self) -> None:
        """Do what comes due, and send what is to be told, until cancelled."""
        sender = Sender(self.gateway)
        purged = 0.0
        try:
            while True:
                self._wakes.clear()
                is_on = True
                try:
                    is_on = self._step()
                    sender.start_due()
                    if time.monotonic() - purged > _PURGE_EVERY_S:
                        self.gateway.purge()
                        purged = time.monotonic()
                except Exception:  # noqa: BLE001 - the edge of the loop: logged once, and time goes on
                    _log.exception("sandbox_moment_failed")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S if is_on else 0):
                        await self._wakes.wait()
        finally:
            await sender.close()

    def _step(self) -> bool:
        """Move on; return False while the clock is still on its way to where it was told to go."""
        if self.gateway.store.setting("advancing_to") is not None:
            return self.gateway.advance(self._url, steps_max=_STEPS_AT_ONCE)
        self.gateway.run_due(self._url)
        return True

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        if body is None:
            await _send(send, 413, b"too large", {})
        elif path.startswith("/_sandbox"):
            query = scope["query_string"].decode("latin-1")
            answer = self._control.answer(scope["method"], path, query, headers, body)
            await _send(send, answer.status, answer.body, answer.headers)
        elif path == pages.SHEET:
            await _send(send, 200, pages.sheet(), {"content-type": "text/css; charset=utf-8"})
        else:
            await self._public(scope, headers, body, send)
        self.wake()

    async def _public(self, scope: Any, headers: Mapping[str, str], body: bytes, send: Any) -> None:
        """What a gateway shows to the world; all of it is away when the gateway is."""
        down = self.gateway.misbehaviour.switches.down
        if down == "hang_up":
            scope["sandbox.transport"].abort()
        elif down == "unavailable":
            await _send(send, 503, b"Service Unavailable", {"content-type": "text/plain"})
        elif scope["path"].startswith("/v1/"):
            await self._api(scope, headers, body, send)
        else:
            await self._page(scope, headers, body, send)

    async def _page(self, scope: Any, headers: Mapping[str, str], body: bytes, send: Any) -> None:
        try:
            shown = pages.page(self.gateway, scope["method"], scope["path"], body, self._base_of(headers))
        except Exception:  # noqa: BLE001 - the edge of a request: logged once, and told without internals
            _log.exception("sandbox_page_failed", path=scope["path"])
            shown = pages.failed()
        policy = " ".join([_POLICY, *shown.leads_to])
        told = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cache-control": "no-store",
        }
        if shown.go_to:
            told["location"] = shown.go_to
        await _send(send, shown.status, shown.html.encode(), told | shown.headers)

    async def _api(self, scope: Any, headers: Mapping[str, str], body: bytes, send: Any) -> None:
        request = Request(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            headers,
            body,
            self._base_of(headers),
        )
        request_id = new_id("req", 14)
        key = headers.get("idempotency-key", "")
        try:
            account = self.gateway.account_of(headers)
            self._admit(account, key)
        except Refusal as refusal:
            answer = Answer(refusal.status, json.dumps(refusal.body(), indent=2).encode(), {"request-id": request_id})
            await self._reply(send, request, answer)
            return
        self._running.add((account, key))
        try:
            answer_or_none = await self._fated(request, account, request_id)
        finally:
            self._running.discard((account, key))
        if answer_or_none is None:
            scope["sandbox.transport"].abort()
        else:
            await self._reply(send, request, answer_or_none)

    def _admit(self, account: str, key: str) -> None:
        """Raises Refusal while the gateway takes nothing, or is at work on this very key."""
        if self.gateway.misbehaviour.switches.rate_limit:
            raise too_many()
        if key and (account, key) in self._running:
            said = "There is currently another in-progress request using this Idempotent Key."
            raise Refusal(409, "idempotency_error", said, code="idempotency_key_in_use")

    async def _fated(self, request: Request, account: str, request_id: str) -> Answer | None:
        """Answer as the dice fall; None: the answer is lost."""
        fate = self.gateway.misbehaviour.fate(request.method)
        if fate.wait_first_s:
            await asyncio.sleep(fate.wait_first_s)
        if fate.fails:
            return self.gateway.fail(request, account, request_id)
        try:
            answer = self.gateway.answer(request, account, request_id)
        except Exception:  # noqa: BLE001 - the edge of a request: logged once, and told without internals
            _log.exception("sandbox_request_failed", path=request.path)
            answer = Answer(500, json.dumps(broken().body()).encode(), {"request-id": request_id})
        self.wake()
        if fate.wait_after_s:
            await asyncio.sleep(fate.wait_after_s)
        return None if fate.is_lost else answer

    async def _reply(self, send: Any, request: Request, answer: Answer) -> None:
        told = {
            "content-type": "application/json",
            "date": formatdate(self.gateway.clock.now(), usegmt=True),
            "stripe-version": request.headers.get("stripe-version", API_VERSION),
            "cache-control": "no-cache, no-store",
        }
        if key := request.headers.get("idempotency-key"):
            told["idempotency-key"] = key
        await _send(send, answer.status, answer.body, told | answer.headers)

    def _base_of(self, headers: Mapping[str, str]) -> str:
        return self._public_url or f"http://{headers.get('host', '127.0.0.1')}"


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, whose connections can be hung up on."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


async def _body(receive: Any) -> bytes | None:
    """Return the whole body, or None where it is too large."""
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Any, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    listed = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    listed.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
