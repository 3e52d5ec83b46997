"""From a stored body to facts. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bursar.money.gateways import FieldMissing, Translation, gateway
from bursar.money.gateways.operator import translate_own

_decode = msgspec.json.Decoder().decode


class EventInvalid(ValueError):
    """The event lacks something that matters; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An event waiting to be applied. origin: `gateway` or `operator` (Bursar's own)."""

    id: UUID
    type: str
    origin: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Translated:
    """An event and what it says. payload: its parsed body, for Bursar's own events."""

    event: Pending
    translation: Translation
    payload: dict[str, Any]


def translate(event: Pending, *, gateway_name: str) -> Translated:
    """Return what an event says. Raises EventInvalid."""
    try:
        payload = _decode(event.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventInvalid(f"the body is not JSON that can be read: {error}") from error
    if not isinstance(payload, dict):
        raise EventInvalid("the body is not a JSON object")
    try:
        if event.origin == "operator" and event.type.startswith("bursar."):
            translation = translate_own(event.type, payload)
        else:
            translation = gateway(gateway_name).translate(type=event.type, payload=payload)
    except FieldMissing as error:
        raise EventInvalid(str(error)) from error
    return Translated(event, translation, payload)
