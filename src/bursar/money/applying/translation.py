"""From a stored body to facts. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.money.gateways import FieldMissing, Translation, gateway
from bursar.money.gateways.operator import translate_own
from bursar.money.gateways.parsing import parse_object
from bursar.money.gateways.reports import OBJECT_REPORTED, translate_report


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
        payload = parse_object(event.body)
    except (ValueError, RecursionError) as error:
        raise EventInvalid(f"the body is not JSON that can be read: {error}") from error
    try:
        if event.origin == "operator" and event.type == OBJECT_REPORTED:
            translation = translate_report(gateway(gateway_name), payload)
        elif event.origin == "operator" and event.type.startswith("bursar."):
            translation = translate_own(event.type, payload)
        else:
            translation = gateway(gateway_name).translate(type=event.type, payload=payload)
    except FieldMissing as error:
        raise EventInvalid(str(error)) from error
    return Translated(event, translation, payload)
