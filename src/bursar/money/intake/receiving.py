"""Receive deliveries: verify, file, acknowledge after commit.

Everything that arrives while a commit is under way goes into the next one (natural batching, no timer): one
lone delivery pays exactly one commit, sixty-four at once share one.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import ids
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.errors import Forbidden, Unavailable
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.gateways import EnvelopeUnreadable, Gateway, gateway
from bursar.money.intake.directory import AccountDirectory, GatewayAccount
from bursar.money.intake.filing import Filed, Filing, file_deliveries

BATCH_MAX = 128
FLUSHERS = 2
COMMIT_WAIT_S = 5.0
_WATCH_S = 0.5
_KEPT_HEADERS = (
    "content-type",
    "user-agent",
    "stripe-signature",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-request-id",
    "x-correlation-id",
)
_HEADER_LENGTH_MAX = 2048
_UNREADABLE_TYPE = "unparseable"
_SANDBOX = "sandbox"

log = structlog.get_logger(__name__)


class IntakeOverloaded(Unavailable):
    """More deliveries are waiting for a commit than fit."""

    code = "intake_overloaded"


class SandboxRefused(Forbidden):
    """In production the sandbox delivers nothing: its money is not money."""

    code = "sandbox_refused"


class NotStored(Unavailable):
    """The delivery could not be made durable; the gateway should deliver it again."""

    code = "not_stored"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came. headers: lower-case names. body: raw bytes, already within the size limit."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The stored event; `is_duplicate` when it was stored by an earlier delivery."""

    event_id: UUID
    is_duplicate: bool


class _Waiting(NamedTuple):
    """A delivery that waits to be durable, since when, and who waits for the word."""

    filing: Filing
    since: float
    answer: asyncio.Future[Filed]


class Intake:
    """The one door for deliveries of one API process. `start` before, `stop` after."""

    def __init__(self, db: Database, seal: Seal, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._accounts = AccountDirectory(db, seal)
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: dict[int, Sequence[_Waiting]] = {}
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._flush_forever(number)) for number in range(FLUSHERS)]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def stop(self) -> None:
        """Stop after what is waiting has been stored (at most 5 s)."""
        unanswered = [w.answer for w in self._unanswered()]
        if unanswered:
            await asyncio.wait(unanswered, timeout=COMMIT_WAIT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def account(self, account_id: UUID) -> GatewayAccount:
        """Return an active gateway account. Raises AccountUnknown, SandboxRefused, DatabaseUnavailable."""
        account = self._accounts.remembered(account_id) or await self._accounts.find(account_id)
        if account.gateway == _SANDBOX and self._settings.production:
            raise SandboxRefused(
                "this installation is in production and takes no sandbox events",
                hint="Connect a real gateway, or unset BURSAR_PRODUCTION on a machine for trying out.",
            )
        return account

    def verify(self, account: GatewayAccount, delivery: Delivery, *, now: datetime) -> None:
        """Return if one of the account's secrets signed the delivery. Raises SignatureInvalid."""
        gateway(account.gateway).verify(
            headers=delivery.headers,
            body=delivery.body,
            secrets=account.secrets,
            now=now,
            tolerance_s=account.tolerance_s,
        )

    async def store(self, account: GatewayAccount, delivery: Delivery, *, now: datetime) -> Receipt:
        """Store a delivery that was verified; return only after it is durable. Raises IntakeOverloaded, NotStored."""
        filing = _filing(account, gateway(account.gateway), delivery, now=now)
        if len(self._waiting) >= self._settings.intake_waiting_max:
            raise IntakeOverloaded("too many deliveries are waiting to be stored", retry_after_s=5)
        answer: asyncio.Future[Filed] = self._loop.create_future()
        self._waiting.append(_Waiting(filing, self._loop.time(), answer))
        if self._idle:
            self._idle.pop().set_result(None)
        filed = await answer
        return Receipt(filed.id, filed.is_duplicate)

    async def _flush_forever(self, number: int) -> None:
        while True:
            while not self._waiting:
                bell: asyncio.Future[None] = self._loop.create_future()
                self._idle.append(bell)
                await bell
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            self._in_flight[number] = batch
            try:
                await self._flush(batch)
            except Exception:
                # Whatever went wrong, the next batch must find a flusher: without one every delivery is refused for ever.
                log.exception("intake.flush_failed", events=len(batch))
            finally:
                _refuse(batch, NotStored("the delivery was not stored", retry_after_s=5))
                self._in_flight[number] = ()

    async def _flush(self, batch: Sequence[_Waiting]) -> None:
        # Whoever stopped waiting has been told to deliver again; storing it now would still be right, but late.
        live = [w for w in batch if not w.answer.done()]
        if not live:
            return
        try:
            filed = await file_deliveries(self._db, [w.filing for w in live])
        except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            if len(live) > 1 and _is_about_the_data(error):
                # One refused row must not cost its neighbours their place.
                middle = len(live) // 2
                await self._flush(live[:middle])
                await self._flush(live[middle:])
                return
            log.warning("intake.not_stored", events=len(live), error=type(error).__name__, detail=str(error)[:200])
            _refuse(live, NotStored("the delivery could not be stored", retry_after_s=5))
            return
        for waiting, result in zip(live, filed, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(result)

    async def _watch(self) -> None:
        """Let nobody wait longer than about five seconds: one clock for all, where a timer for each would cost more."""
        while True:
            await asyncio.sleep(_WATCH_S)
            oldest = self._loop.time() - COMMIT_WAIT_S
            late = [w for w in self._unanswered() if w.since < oldest]
            _refuse(late, NotStored("the delivery was not stored within 5 s", retry_after_s=10))

    def _unanswered(self) -> list[_Waiting]:
        everyone = chain(self._waiting, *self._in_flight.values())
        return [w for w in everyone if not w.answer.done()]


def _refuse(batch: Sequence[_Waiting], refusal: NotStored) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(refusal)


def _filing(account: GatewayAccount, adapter: Gateway, delivery: Delivery, *, now: datetime) -> Filing:
    dead_because = None
    try:
        envelope = adapter.envelope(headers=delivery.headers, body=delivery.body)
        event_id, event_type, occurred_at = envelope.event_id, envelope.type, envelope.occurred_at
    except EnvelopeUnreadable as error:
        # Signed by the gateway, so it is theirs, and delivering it again would not make it readable: keep it.
        event_id, event_type, occurred_at = f"sha256:{sha256(delivery.body).hexdigest()}", _UNREADABLE_TYPE, now
        dead_because = f"the body names no event: {error}"
    return Filing(
        ids.new(),
        account.tenant_id,
        account.id,
        event_id,
        event_type,
        "gateway",
        occurred_at,
        {name: _clean(value) for name in _KEPT_HEADERS if (value := delivery.headers.get(name)) is not None},
        delivery.body,
        dead_because,
    )


def _clean(value: str) -> str:
    """Header text as jsonb can keep it."""
    kept = value[:_HEADER_LENGTH_MAX]
    return kept if kept.isprintable() else "".join(c for c in kept if c.isprintable())


def _is_about_the_data(error: Exception) -> bool:
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
