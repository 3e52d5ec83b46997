"""From a stored body to facts. Pure."""

import json
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
    payload = _parsed(event.body)
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


def _parsed(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        first = error
    try:
        # The fast parser refuses a lone surrogate in a name, say; the adapters strip what PostgreSQL cannot keep.
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise EventInvalid(f"the body is not JSON that can be read: {first}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
