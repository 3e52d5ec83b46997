"""A gateway in memory that keeps keys, and misbehaves as it is told: the caller's half for tests."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bursar.bootstrap import registry
from bursar.kernel import ids
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls, refunding
from bursar.money.calls import Outside
from bursar.money.gateways.calling import Answer, CallFailed, Credentials, Page
from bursar.money.gateways.calls import AnyCall, CreateRefund
from bursar.money.gateways.calls import Kind as ObjectKind
from serving import KEY, give_key
from stage import Stage

__all__ = ["Clock", "Desk", "Double", "registry"]


@dataclass
class Clock:
    """Stands still until it is told to go."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def go(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Double:
    """failures: what the next attempts meet, before anything is done. lost: failures met after it was done.

    down: what every attempt meets. effects: what was done, by key. sent: every attempt's key.
    """

    clock: Clock
    name: str = "stripe"
    repeats_safely_s: int | None = 86_400
    lists: frozenset[ObjectKind] = frozenset()
    failures: deque[CallFailed | None] = field(default_factory=deque)
    lost: deque[CallFailed | None] = field(default_factory=deque)
    down: CallFailed | None = None
    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    can_look: bool = True
    before: Callable[[], Any] = lambda: None

    def check(self, call: AnyCall) -> None:
        del call

    def finds(self, call: AnyCall) -> bool:
        del call
        return self.can_look

    async def execute(
        self, call: AnyCall, *, credentials: Credentials, idempotency_key: str, deadline_s: float = 23
    ) -> Answer:
        assert credentials.api_key == "sk_test"
        self.sent.append(idempotency_key)
        await asyncio.sleep(0)
        self.before()
        if self.down:
            raise self.down
        if self.failures and (failure := self.failures.popleft()):
            raise failure
        is_replayed = idempotency_key in self.effects
        if not is_replayed:
            self.effects[idempotency_key] = self._made(call)
        if self.lost and (failure := self.lost.popleft()):
            raise failure
        return self._answer(self.effects[idempotency_key], is_replayed=is_replayed)

    async def find(
        self, call: AnyCall, *, credentials: Credentials, idempotency_key: str, since: datetime, deadline_s: float = 23
    ) -> Answer | None:
        del call, credentials, deadline_s
        assert since < self.clock()
        self.looked.append(idempotency_key)
        if self.down:
            raise self.down
        made = self.effects.get(idempotency_key)
        return self._answer(made, is_replayed=True) if made else None

    async def fetch(self, kind: ObjectKind, ref: str, *, credentials: Credentials, deadline_s: float = 23) -> None:
        del kind, ref, credentials, deadline_s

    async def objects(self, kind: ObjectKind, **_: Any) -> Page:
        del kind
        return Page((), None)

    async def close(self) -> None:
        return

    def _made(self, call: AnyCall) -> dict[str, Any]:
        assert isinstance(call, CreateRefund)
        return {
            "id": f"re_{ids.encode(ids.new())}",
            "object": "refund",
            "status": "succeeded",
            "amount": call.amount_minor,
            "currency": call.currency.lower(),
            "payment_intent": call.payment,
            "charge": call.charge,
            "metadata": {"bursar_refund": call.refund},
            "created": int(self.clock().timestamp()),
        }

    def _answer(self, made: dict[str, Any], *, is_replayed: bool) -> Answer:
        at = datetime.fromtimestamp(made["created"], UTC)
        return Answer(ObjectKind.refund, made["id"], made, at, is_replayed=is_replayed)


@dataclass
class Desk:
    """A stage whose account has a key, with the gateway's double behind it."""

    stage: Stage
    clock: Clock
    double: Double
    kind: Kind

    @classmethod
    async def of(cls, stage: Stage) -> "Desk":
        await give_key(stage, "sk_test")
        clock = Clock()
        double = Double(clock)
        outside = Outside(lambda _: double, clock=clock)
        return cls(
            stage, clock, double, replace(calls.execution(outside, [refunding.ASKER]), retries_per_minute=100_000)
        )

    async def drain(self) -> int:
        """Run the jobs that are due."""
        settings = Settings(database_url=self.stage.url, secret_key=KEY)
        return await Engine(Resources(self.stage.db, settings, self.clock), Kinds([self.kind])).drain()

    async def go(self, **span: float) -> None:
        """Let time pass: the clock of circuits and ages, and the due times that the database compares with its own."""
        passed = timedelta(**span)
        self.clock.go(**span)
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute(
                """update job set run_at = run_at - $2::interval where tenant_id = $1 and state = 'scheduled'""",
                self.stage.tenant_id,
                passed,
            )

    async def live(self, *, step_s: float = 0.0, **span: float) -> int:
        """Let time pass from one due job to the next, at least step_s; return how many attempts were made."""
        end, attempts = self.clock.at + timedelta(**span), await self.drain()
        while True:
            wait = await self.stage.value(
                "select extract(epoch from min(run_at) - clock_timestamp())::float8 from job where state = 'scheduled'"
            )
            if wait is None or self.clock.at + timedelta(seconds=wait) > end:
                break
            await self.go(seconds=max(wait, step_s) + 0.001)
            attempts += await self.drain()
        await self.go(seconds=(end - self.clock.at).total_seconds())
        return attempts + await self.drain()
