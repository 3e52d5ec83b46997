"""The sandbox's Stripe account: makes ids, and records events as Stripe would have sent them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

import msgspec

from bursar.money.gateways.fields import Json
from bursar.money.gateways.sandbox.objects import Layout

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class SandboxEvent:
    """One event as Stripe delivers it. created: Stripe's time of it, aware UTC, whole seconds."""

    id: str
    type: str
    created: datetime
    body: bytes


@dataclass(slots=True)
class Recorder:
    """Collects what happened until `end` (Unix seconds); what would happen later has not happened."""

    random: Random
    end: int
    events: list[SandboxEvent] = field(default_factory=list)

    def id(self, prefix: str, length: int = 24) -> str:
        """Return a new id in the form of the gateway."""
        return prefix + "_" + "".join(self.random.choices(_ALPHABET, k=length))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def between(self, low_s: int, high_s: int) -> int:
        return self.random.randint(low_s, high_s)

    def record(self, kind: str, at: int, item: Json, layout: Layout, *, previous: Json | None = None) -> None:
        """Write an event with the object as it is now. previous: the former values of what changed."""
        if at >= self.end:
            return
        name = self.id("evt_1", 23)
        data: Json = {"object": item} if previous is None else {"object": item, "previous_attributes": previous}
        event = {
            "id": name,
            "object": "event",
            "api_version": layout.value,
            "created": at,
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        body = msgspec.json.format(_ENCODER.encode(event), indent=2)
        self.events.append(SandboxEvent(name, kind, datetime.fromtimestamp(at, UTC), body))
