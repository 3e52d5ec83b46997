"""The hostile network: delivers what the plan says, badly, and goes on until every event was acknowledged."""

import asyncio
import heapq
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from bursar.money.gateways import gateway
from bursar.money.gateways.sandbox import SandboxEvent
from bursar.operations.simulate.planning import Delivery, Plan, Way
from bursar.operations.studio import GATEWAY, Studio
from bursar.operations.wire import Answer, NoAnswer, Wire

_RETRY_AFTER_S = (0.05, 1.5)
_OK = 200
_FORGED_PREFIX = "evt_forged_"


class NotAcknowledged(Exception):
    """Some events were not acknowledged in time."""


@dataclass(slots=True)
class Tally:
    """What the sender saw. ways: attempts by their way; refused: answers other than 200, by status."""

    acked: set[int] = field(default_factory=set)
    deliveries: int = 0
    duplicates: int = 0
    no_answer: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    forged_accepted: int = 0


class Network:
    """Delivers one plan to one account. tally: what came of it, readable at any time."""

    def __init__(self, plan: Plan, studio: Studio, *, url: str, path: str) -> None:
        self._plan = plan
        self._studio = studio
        self._url = url
        self._path = path
        self._waiting = deque(plan.deliveries)
        self._retries: list[tuple[float, int]] = []
        self._random = Random(plan.seed)  # noqa: S311 - it must repeat
        self.tally = Tally()

    async def storm(self, *, connections: int, timeout_s: float) -> None:
        """Deliver everything, over so many connections at once. Raises NotAcknowledged."""
        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as senders:
                for _ in range(connections):
                    senders.create_task(self._send_until_done())
        except TimeoutError as error:
            missing = len(self._plan.events) - len(self.tally.acked)
            raise NotAcknowledged(f"{missing} events were not acknowledged within {timeout_s:g} s") from error

    async def _send_until_done(self) -> None:
        with Wire(self._url) as wire:
            while (delivery := self._next()) is not None:
                if delivery is _LATER:
                    await asyncio.sleep(0.02)
                else:
                    await self._attempt(wire, delivery)

    def _next(self) -> Delivery | None:
        """Return what is due: a retry whose time has come, else the next of the plan, else what nobody acknowledged."""
        while self._retries and self._retries[0][0] <= time.monotonic():
            _, event = heapq.heappop(self._retries)
            if event not in self.tally.acked:
                return Delivery(event, Way.whole)
        if self._waiting:
            return self._waiting.popleft()
        if len(self.tally.acked) == len(self._plan.events):
            return None
        if not self._retries:
            for event in range(len(self._plan.events)):
                if event not in self.tally.acked:
                    self._retry(event)
        return _LATER

    async def _attempt(self, wire: Wire, delivery: Delivery) -> None:
        event = self._plan.events[delivery.event]
        self.tally.deliveries += 1
        self.tally.ways[delivery.way.value] += 1
        headers = _signed(event, self._studio.signing_secret)
        part = max(1, int(len(event.body) * delivery.share))
        match delivery.way:
            case Way.dropped:
                pass
            case Way.unread:
                await wire.send(self._path, headers=headers, body=event.body)
            case Way.cut:
                await wire.send(self._path, headers=headers, body=event.body, cut_at=min(part, len(event.body) - 1))
            case Way.forged:
                await self._forge(wire, event)
            case Way.whole | Way.slow:
                pause_at = part if delivery.way is Way.slow else None
                await self._deliver(wire, delivery.event, headers=headers, pause_at=pause_at)
        if delivery.event not in self.tally.acked:
            self._retry(delivery.event)

    def _retry(self, event: int) -> None:
        heapq.heappush(self._retries, (time.monotonic() + self._random.uniform(*_RETRY_AFTER_S), event))

    async def _deliver(self, wire: Wire, index: int, *, headers: dict[str, str], pause_at: int | None) -> None:
        try:
            answer = await wire.post(self._path, headers=headers, body=self._plan.events[index].body, pause_at=pause_at)
        except NoAnswer:
            self.tally.no_answer += 1
            return
        if answer.status != _OK:
            self.tally.refused[answer.status] += 1
            return
        self.tally.acked.add(index)
        self.tally.duplicates += bool(answer.body and answer.body.get("duplicate"))

    async def _forge(self, wire: Wire, event: SandboxEvent) -> None:
        """Send the event under another id, signed by somebody who guesses the secret."""
        body = event.body.replace(event.id.encode(), f"{_FORGED_PREFIX}{event.id}".encode())
        try:
            answer = await wire.post(
                self._path, headers=_signed(event, f"whsec_{secrets.token_hex(24)}", body), body=body
            )
        except NoAnswer:
            self.tally.no_answer += 1
            return
        self.tally.forged_accepted += answer.status == _OK


_LATER = Delivery(-1, Way.dropped)


async def deliver_calmly(plan: Plan, studio: Studio, *, url: str, path: str) -> None:
    """Deliver each event once, in the order in which it happened, one after another. Raises NotAcknowledged."""
    with Wire(url) as wire:
        for event in plan.events:
            answer = await _insisted(wire, path, event, studio)
            if answer.status != _OK:
                raise NotAcknowledged(f"{event.type} {event.id} was answered {answer.status}: {answer.body}")


async def _insisted(wire: Wire, path: str, event: SandboxEvent, studio: Studio) -> Answer:
    try:
        return await wire.post(path, headers=_signed(event, studio.signing_secret), body=event.body)
    except NoAnswer:
        return await wire.post(path, headers=_signed(event, studio.signing_secret), body=event.body)


def _signed(event: SandboxEvent, secret: str, body: bytes | None = None) -> dict[str, str]:
    return gateway(GATEWAY).sign(
        body=event.body if body is None else body, secret=secret, now=datetime.now(UTC), event_id=event.id
    )
