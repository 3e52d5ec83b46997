"""A request with an Idempotency-Key: one transaction from the look at the key to the commit, which the route joins."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel import idempotency
from bursar.kernel.auth.principal import Principal
from bursar.kernel.db import Transaction
from bursar.kernel.idempotency import Answer, Keyed, Retention
from bursar.kernel.resources import resources_of

METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Handle = Callable[[Request], Awaitable[Response]]
Finish = Callable[[Response], Awaitable[Response]]


class Joined:
    """The transaction that a route joins. One refusal inside it, even one that the route answers itself, takes all back."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.is_refused = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Lend the open transaction; it is committed later, together with the answer."""
        try:
            yield self._tx
        except BaseException:
            self.is_refused = True
            raise


class _TakenBack(Exception):
    """Carries an answer past the transaction that it takes back."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class Once:
    """What one route does with keys. Those that this process is working on are refused without a database connection."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._running: set[tuple[UUID, str, str]] = set()

    async def answer(
        self,
        request: Request,
        handle: Handle,
        *,
        key: str,
        takes_body: bool,
        retention: Retention,
        finish: Finish | None = None,
        is_kept: bool = True,
    ) -> Response:
        """Return the stored answer to a key, or do the work and store it.

        finish: makes the final answer of one of 202, after the commit; it takes the other's place if it is to be kept.
        Raises IdempotencyRunning, IdempotencyKeyReused, IdempotencyAnswerNotKept, and what the route raises.
        """
        principal: Principal = request.state.principal
        keyed = Keyed(
            principal.tenant_id,
            principal.actor,
            f"{request.method} {self._template}",
            key,
            await _digest(request, takes_body=takes_body),
        )
        with self._alone(keyed):
            try:
                async with resources_of(request).db.tenant(principal.tenant_id) as tx:
                    answer = await _do(tx, request, handle, keyed=keyed, retention=retention)
            except _TakenBack as taken_back:
                return taken_back.answer
            final = answer if finish is None else await finish(answer)
            if final is not answer and is_kept:
                await _replace(request, keyed, final)
            return final

    @contextmanager
    def _alone(self, keyed: Keyed) -> Iterator[None]:
        mine = (keyed.tenant_id, keyed.holder, keyed.key)
        if mine in self._running:
            raise idempotency.running()
        self._running.add(mine)
        try:
            yield
        finally:
            self._running.discard(mine)


async def _do(tx: Transaction, request: Request, handle: Handle, *, keyed: Keyed, retention: Retention) -> Response:
    resources = resources_of(request)
    before = await idempotency.claim(tx, keyed, seal=resources.seal, now=resources.now())
    if before:
        request.scope["log"]["idempotency"] = "replayed"
        return Response(before.body, before.status, {**before.headers, idempotency.REPLAYED: "true"})
    request.state.joined = joined = Joined(tx)
    response = await handle(request)
    if joined.is_refused or response.status_code >= HTTPStatus.BAD_REQUEST:
        raise _TakenBack(response)
    answer, now = _answer_of(response), resources.now()
    await idempotency.keep(tx, keyed, answer, seal=resources.seal, now=now, retention=retention)
    return response


async def _replace(request: Request, keyed: Keyed, final: Response) -> None:
    resources = resources_of(request)
    async with resources.db.tenant(keyed.tenant_id) as tx:
        await idempotency.replace(tx, keyed, _answer_of(final), seal=resources.seal)


def _answer_of(response: Response) -> Answer:
    """Return what is kept of an answer: no streams, nothing binary, nothing longer than the limit."""
    headers = {name: value for name in idempotency.HEADERS_KEPT if (value := response.headers.get(name)) is not None}
    body = getattr(response, "body", None)
    if not isinstance(body, bytes) or len(body) > idempotency.BODY_BYTES_MAX or not _is_text(body):
        body = None
    return Answer(response.status_code, headers, body)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def _digest(request: Request, *, takes_body: bool) -> bytes:
    """Return the request's hash. A body that the route reads as JSON counts by its value, any other by its bytes."""
    body = await request.body()
    value = await request.json() if takes_body and body else body
    return idempotency.digest(method=request.method, path=request.url.path, query=request.url.query, body=value)
