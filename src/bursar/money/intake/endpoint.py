"""`POST /v1/webhooks/{account}`: the hot path, a bare ASGI application in front of everything else.

Order of checks, cheapest first: method, how often it was refused before, account, length, body (counted as it streams, under a deadline),
signature, envelope; then one durable insert; then the answer.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from starlette.types import Receive, Scope, Send

from bursar.kernel import ids
from bursar.kernel.errors import DomainError, Invalid, NotFound, Unavailable
from bursar.kernel.http import api_headers, correlation_id_of, headers_of, send_problem
from bursar.kernel.http.addresses import client_address, source_of
from bursar.kernel.http.bodies import BodyIncomplete, BodyTooLarge
from bursar.kernel.rate_limits import Limiter
from bursar.kernel.security import Observations
from bursar.kernel.settings import Settings
from bursar.money.intake.directory import GatewayAccount
from bursar.money.intake.pace import Pace
from bursar.money.intake.receiving import Delivery, Intake, IntakeOverloaded, NotStored

PREFIX = "/v1/webhooks/"
_NEW = b'{"received":true,"event":"%b","duplicate":false}'
_DUPLICATE = b'{"received":true,"event":"%b","duplicate":true} '
_LENGTH = len(_NEW % ids.show(ids.EVENT, UUID(int=0)).encode())
_STORED = ((b"content-type", b"application/json"), (b"content-length", str(_LENGTH).encode()))
"""The headers of the answer to a stored delivery; a duplicate's is as long, by a space at its end."""

_LATE = 0.0
SMALL_BYTES_MAX = 16_384
"""A body up to this size is always read; what is longer shares the room below with all others under way."""
ROOM_BYTES = 67_108_864
"""Whoever knows an address may begin as many bodies as there are connections: nobody has signed anything yet."""
AT_ONCE_S = 1.0
"""A large body that takes longer gives way where the room is full: gateways send theirs at once, and send them again."""

log = structlog.get_logger(__name__)


class BodyTimeout(Invalid):
    """The body took too long to arrive."""

    code = "body_timeout"
    status = 408


class BodyEncoded(Invalid):
    """The body is compressed; a signature covers the raw bytes, so gateways never do that."""

    code = "content_encoding_refused"
    status = 415


class MethodRefused(Invalid):
    """Only POST delivers."""

    code = "method_not_allowed"
    status = 405


class WebhookEndpoint:
    """The ASGI application of the webhook route."""

    def __init__(self, intake: Intake, settings: Settings, limiter: Limiter, security: Observations) -> None:
        self._intake = intake
        self._settings = settings
        self._security = security
        self._pace = Pace(limiter, settings)
        self._safe = api_headers(is_https=settings.is_https)
        self._stored = {"type": "http.response.start", "status": 200, "headers": [*_STORED, *self._safe]}
        self._patience = _Patience(settings.body_timeout_s)
        self._room = _Room()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a delivery, and return the status."""
        try:
            body = await self._deliver(scope, receive)
        except DomainError as error:
            return await self._refuse(error, scope, send)
        except Exception:
            log.exception("intake.unexpected")
            unforeseen = NotStored("something went wrong here; the event was not stored", retry_after_s=5)
            return await self._refuse(unforeseen, scope, send)
        await send(self._stored)
        await send({"type": "http.response.body", "body": body})
        return 200

    async def _deliver(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] != "POST":
            raise MethodRefused("deliveries are posted", hint="Use POST.")
        source = source_of(client_address(scope, self._settings))
        account_id = _account_id(scope["path"])
        self._pace.admit(account_id, source)
        try:
            account, delivery = await self._verified(account_id, scope, receive)
        except DomainError as refusal:
            if not isinstance(refusal, Unavailable):
                await self._pace.refused(account_id, source)
            raise
        await self._pace.signed(account.id, source, per_minute=account.deliveries_per_minute)
        receipt = await self._intake.store(account, delivery, now=datetime.now(UTC))
        return (_DUPLICATE if receipt.is_duplicate else _NEW) % ids.show(ids.EVENT, receipt.event_id).encode()

    async def _verified(
        self, account_id: UUID | None, scope: Scope, receive: Receive
    ) -> tuple[GatewayAccount, Delivery]:
        if account_id is None:
            raise NotFound(
                "no gateway account has this address", hint="Copy the address that `bursar gateway add` printed."
            )
        account = await self._intake.account(account_id)
        headers = headers_of(scope)
        delivery = Delivery(headers, await self._body(headers, receive))
        try:
            self._intake.verify(account, delivery, now=datetime.now(UTC))
        except Invalid as refusal:
            self._security.note(
                tenant_id=account.tenant_id,
                kind="signature_refused",
                actor="",
                address=client_address(scope, self._settings),
                detail=f"{ids.show(ids.GATEWAY_ACCOUNT, account.id)}: {refusal.code}",
            )
            raise
        return account, delivery

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        limit = self._settings.body_bytes_max
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise BodyEncoded("the body is compressed", hint="Deliver the body as it was signed.")
        told = headers.get("content-length")
        if told is not None and told.isascii() and told.isdigit() and int(told[:19]) > limit:
            raise BodyTooLarge(f"the body is longer than {limit} bytes")
        try:
            return await self._patience.wait(self._read(receive, limit))
        except TimeoutError as error:
            raise BodyTimeout(f"the body did not arrive within {self._settings.body_timeout_s:g} s") from error

    async def _read(self, receive: Receive, limit: int) -> bytes:
        """Read the body, counting bytes as they come; a told length is not trusted."""
        chunks, size = [], 0
        with self._room.shared() as hold:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyIncomplete("the body did not arrive whole")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise BodyTooLarge(f"the body is longer than {limit} bytes")
                if size > SMALL_BYTES_MAX:
                    hold(size)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)

    async def _refuse(self, error: DomainError, scope: Scope, send: Send) -> int:
        correlation_id = correlation_id_of(headers_of(scope))
        log.info(
            "intake.refused",
            code=error.code,
            status=error.status,
            path=scope["path"],
            address=client_address(scope, self._settings),
            correlation_id=correlation_id,
        )
        await send_problem(error, send, path=scope["path"], correlation_id=correlation_id, extra=self._safe)
        return error.status


class _Room:
    """The bytes of the large bodies that are arriving. Where they are too many, the one that began first gives way."""

    def __init__(self) -> None:
        self._held: dict[asyncio.Task[Any], tuple[int, float]] = {}
        self._taken = 0

    @contextmanager
    def shared(self) -> Iterator[Callable[[int], None]]:
        """Lend what notes how long the body of this task is by now. Raises IntakeOverloaded where there is no room."""
        task = asyncio.current_task()
        assert task, "a delivery is a task"
        begun = time.monotonic()
        is_large = False

        def hold(size: int) -> None:
            nonlocal is_large
            is_large = True
            self._taken += size - self._held.get(task, (0, begun))[0]
            self._held[task] = size, begun
            self._make_room()

        try:
            yield hold
        except asyncio.CancelledError as error:
            # Whoever gave way is not among the holders any more, and was cancelled for no other reason.
            if not is_large or task in self._held or task.uncancel():
                raise
            raise _overloaded() from error
        finally:
            self._taken -= self._held.pop(task, (0, begun))[0]

    def _make_room(self) -> None:
        late = time.monotonic() - AT_ONCE_S
        while self._taken > ROOM_BYTES:
            first, (size, begun) = next(iter(self._held.items()))
            if begun > late or first is asyncio.current_task():
                raise _overloaded()
            del self._held[first]
            self._taken -= size
            first.cancel()


def _overloaded() -> IntakeOverloaded:
    return IntakeOverloaded("too many large deliveries are under way", retry_after_s=5)


class _Patience:
    """One coarse clock for all bodies that are arriving: a timer for each would cost more than reading most of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: dict[asyncio.Task[Any], float] = {}
        self._is_ticking = False

    async def wait(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        """Return what is read. Raises TimeoutError after the time given, or up to an eighth of it later."""
        task = asyncio.current_task()
        assert task, "a delivery is a task"
        self._begun[task] = time.monotonic()
        if not self._is_ticking:
            self._tick()
        try:
            return await reading
        except asyncio.CancelledError as error:
            if self._begun[task] != _LATE or task.uncancel():
                raise
            raise TimeoutError from error
        finally:
            del self._begun[task]

    def _tick(self) -> None:
        before = time.monotonic() - self._seconds
        for task in [task for task, begun in self._begun.items() if _LATE < begun < before]:
            self._begun[task] = _LATE
            task.cancel()
        self._is_ticking = bool(self._begun)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(self._seconds / 8, self._tick)


@lru_cache(maxsize=10_000)
def _account_id(path: str) -> UUID | None:
    return ids.parsed_or_none(ids.GATEWAY_ACCOUNT, path[len(PREFIX) :].rstrip("/"))
