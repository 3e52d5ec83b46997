"""Receive deliveries: verify, file, acknowledge after commit.

Everything that arrives while a commit is under way goes into the next one (natural batching, no timer): one
lone delivery pays exactly one commit, sixty-four at once share one.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import asyncpg
import structlog

from bursar.kernel import ids
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.errors import Forbidden, Unavailable
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.gateways import EnvelopeUnreadable, gateway
from bursar.money.intake.directory import AccountDirectory, GatewayAccount
from bursar.money.intake.filing import Filed, Filing, file_events

BATCH_MAX = 128
FLUSHERS = 2
COMMIT_WAIT_S = 5.0
_KEPT_HEADERS = frozenset(
    {
        "content-type",
        "user-agent",
        "stripe-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-request-id",
    }
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

    account_id: UUID
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The stored event; `is_duplicate` when it was stored by an earlier delivery."""

    event_id: UUID
    is_duplicate: bool


class Intake:
    """The one door for deliveries of one API process. `start` before, `stop` after."""

    def __init__(self, db: Database, seal: Seal, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._accounts = AccountDirectory(db, seal)
        self._waiting: asyncio.Queue[tuple[Filing, asyncio.Future[Filed]]] = asyncio.Queue(settings.intake_waiting_max)
        self._flushers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._flushers = [asyncio.create_task(self._flush_forever()) for _ in range(FLUSHERS)]

    async def stop(self) -> None:
        """Stop after what is waiting has been stored (at most 5 s)."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), COMMIT_WAIT_S)
        for flusher in self._flushers:
            flusher.cancel()
        await asyncio.gather(*self._flushers, return_exceptions=True)

    async def account(self, account_id: UUID) -> GatewayAccount:
        """Return an active gateway account. Raises AccountUnknown, SandboxRefused, DatabaseUnavailable."""
        account = await self._accounts.find(account_id)
        if account.gateway == _SANDBOX and self._settings.production:
            raise SandboxRefused(
                "this installation is in production and takes no sandbox events",
                hint="Connect a real gateway, or unset BURSAR_PRODUCTION on a machine for trying out.",
            )
        return account

    async def receive(self, delivery: Delivery, *, now: datetime) -> Receipt:
        """Verify and store a delivery; return only after it is durable.

        Raises AccountUnknown, SandboxRefused, SignatureInvalid, IntakeOverloaded, NotStored, DatabaseUnavailable.
        """
        account = await self.account(delivery.account_id)
        adapter = gateway(account.gateway)
        adapter.verify(
            headers=delivery.headers,
            body=delivery.body,
            secrets=account.secrets,
            now=now,
            tolerance_s=account.tolerance_s,
        )
        filing = _filing(account, delivery, now=now)
        future: asyncio.Future[Filed] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((filing, future))
        except asyncio.QueueFull as error:
            raise IntakeOverloaded("too many deliveries are waiting to be stored", retry_after_s=5) from error
        try:
            filed = await asyncio.wait_for(future, COMMIT_WAIT_S)
        except TimeoutError as error:
            raise NotStored("the delivery was not stored within 5 s", retry_after_s=10) from error
        return Receipt(filed.id, filed.is_duplicate)

    async def _flush_forever(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH_MAX and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._flush(batch)
            finally:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(NotStored("the delivery was not stored", retry_after_s=5))
                    self._waiting.task_done()

    async def _flush(self, batch: list[tuple[Filing, asyncio.Future[Filed]]]) -> None:
        # Whoever stopped waiting has been told to deliver again; storing it now would still be right, but late.
        live = [(filing, future) for filing, future in batch if not future.done()]
        if not live:
            return
        try:
            filed = await self._store([filing for filing, _ in live])
        except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if len(live) > 1 and _is_about_the_data(error):
                # One refused row must not cost its neighbours their place.
                middle = len(live) // 2
                await self._flush(live[:middle])
                await self._flush(live[middle:])
                return
            log.warning("intake.not_stored", events=len(live), error=type(error).__name__, detail=str(error)[:200])
            for _, future in live:
                if not future.done():
                    future.set_exception(NotStored("the delivery could not be stored", retry_after_s=5))
            return
        for (_, future), result in zip(live, filed, strict=True):
            if not future.done():
                future.set_result(result)

    async def _store(self, filings: list[Filing]) -> list[Filed]:
        async with self._db.engine() as tx:
            return await file_events(tx, filings)


def _filing(account: GatewayAccount, delivery: Delivery, *, now: datetime) -> Filing:
    dead_because = None
    try:
        envelope = gateway(account.gateway).envelope(headers=delivery.headers, body=delivery.body)
        event_id, event_type, occurred_at = envelope.event_id, envelope.type, envelope.occurred_at
    except EnvelopeUnreadable as error:
        # Signed by the gateway, so it is theirs, and delivering it again would not make it readable: keep it.
        event_id, event_type, occurred_at = f"sha256:{sha256(delivery.body).hexdigest()}", _UNREADABLE_TYPE, now
        dead_because = f"the body names no event: {error}"
    return Filing(
        id=ids.new(),
        tenant_id=account.tenant_id,
        account_id=account.id,
        event_id=event_id,
        type=event_type,
        origin="gateway",
        occurred_at=occurred_at,
        headers={k: _clean(v) for k, v in delivery.headers.items() if k in _KEPT_HEADERS},
        body=delivery.body,
        dead_because=dead_because,
    )


def _clean(value: str) -> str:
    """Header text as jsonb can keep it."""
    return "".join(c for c in value[:_HEADER_LENGTH_MAX] if c.isprintable())


def _is_about_the_data(error: Exception) -> bool:
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
