"""Dodo Payments' receiving half: Standard Webhooks in, facts out.

Invariants:
- the type of an event decides the state; the object's status decides only where the type does not;
- an event is named by its `webhook-id` header, which the signature covers;
- an amount is a whole number of minor units or the event is refused, naming the field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bursar.money.gateways import signatures
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.dodo.events import READERS, translate
from bursar.money.gateways.dodo.objects import translate_object
from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import is_name
from bursar.money.gateways.parsing import parse
from bursar.money.gateways.port import Envelope, EnvelopeUnreadable, Translation

__all__ = ["READERS", "Dodo"]


class _Event(msgspec.Struct):
    type: str
    timestamp: datetime


_DECODER: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Dodo:
    """See `port.Gateway`."""

    name: str = "dodo"

    def check_secret(self, secret: str) -> None:
        """Raises SecretInvalid for a signing secret that is empty or not base64."""
        signatures.check_standard_secret(secret)

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
    ) -> None:
        signatures.verify_standard(headers=headers, body=body, secrets=secrets, now=now, tolerance_s=tolerance_s)

    def envelope(self, *, headers: Mapping[str, str], body: bytes) -> Envelope:
        """Read the header `webhook-id` and the body's `type` and `timestamp` (UTC where it names no zone)."""
        try:
            event = parse(body, _DECODER)
            told = event.timestamp
            occurred_at = (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise EnvelopeUnreadable("the body is not JSON in UTF-8 with an event's type and timestamp") from error
        event_id = headers.get("webhook-id", "")
        if not is_name(event_id) or not is_name(event.type):
            raise EnvelopeUnreadable("the header webhook-id or the event's type is not usable")
        return Envelope(event_id, event.type, occurred_at)

    def translate(self, *, type: str, payload: dict[str, Any]) -> Translation:  # noqa: A002
        return translate(type, payload)

    def translate_object(self, *, kind: Kind, object: dict[str, Any]) -> tuple[AnyFact, ...]:  # noqa: A002
        return translate_object(kind, object)

    def sign(self, *, body: bytes, secret: str, now: datetime, event_id: str) -> dict[str, str]:
        return signatures.sign_standard(body=body, secret=secret, now=now, event_id=event_id)
