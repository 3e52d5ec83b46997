"""From a stored body to facts. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.money.gateways import FieldMissing, Translation, gateway, redaction
from bursar.money.gateways.operator import translate_own
from bursar.money.gateways.parsing import parse_object
from bursar.money.gateways.reports import OBJECT_REPORTED, translate_report


class EventInvalid(ValueError):
    """The event lacks something that matters; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An event waiting to be applied. origin: `gateway` or `operator` (Bursar's own). is_erased: its body is our writing."""

    id: UUID
    type: str
    origin: str
    occurred_at: datetime
    body: bytes
    is_erased: bool = False

    @property
    def is_own(self) -> bool:
        return is_in_own_words(origin=self.origin, type=self.type)


def is_in_own_words(*, origin: str, type: str) -> bool:  # noqa: A002
    """True for an event that Bursar wrote itself, unless it holds an object as a gateway showed it."""
    return origin == "operator" and type != OBJECT_REPORTED


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
        if event.is_erased and not event.is_own:
            translation = _of_erased(payload)
        elif event.origin == "operator" and event.type == OBJECT_REPORTED:
            translation = translate_report(gateway(gateway_name), payload)
        elif event.origin == "operator" and event.type.startswith("bursar."):
            translation = translate_own(event.type, payload)
        else:
            translation = gateway(gateway_name).translate(type=event.type, payload=payload)
    except FieldMissing as error:
        raise EventInvalid(str(error)) from error
    return Translated(event, translation, payload)


def _of_erased(payload: dict[str, Any]) -> Translation:
    translation = redaction.translation_of(payload)
    if translation is None:
        raise EventInvalid("the event named a person who was erased, and could not be read before")
    return translation
