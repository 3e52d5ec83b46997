"""Events that Bursar writes itself: their one shape, made and read here for the desk and for operators.

Body: `{"id", "type", "occurred_at", "data"}`, compact JSON with sorted keys, so that the same facts give the
same bytes. They are stored and applied as a gateway's events are; nobody outside can deliver one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import msgspec

from bursar.money.gateways.fields import Json, is_name
from bursar.money.gateways.port import Envelope, EnvelopeUnreadable, FieldMissing

OBJECT: Final = "data"

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event ready to be stored. event_id: the same for a repeat of the same act."""

    event_id: str
    type: str
    occurred_at: datetime
    body: bytes


class _Event(msgspec.Struct):
    id: str
    type: str
    occurred_at: datetime


_DECODER: Final = msgspec.json.Decoder(_Event)


def write(*, event_id: str, kind: str, occurred_at: datetime, data: Json) -> OwnEvent:
    """Return an event; fields that are None are left out. occurred_at: aware. An id too long to file is hashed."""
    at = occurred_at.astimezone(UTC)
    if not is_name(event_id):
        event_id = f"sha256:{sha256(event_id.encode('utf-8', 'replace')).hexdigest()}"
    told = {key: value for key, value in data.items() if value is not None}
    body = _ENCODER.encode({"id": event_id, "type": kind, "occurred_at": at, "data": told})
    return OwnEvent(event_id, kind, at, body)


def envelope(body: bytes) -> Envelope:
    """Read the event's id, type and time. Raises EnvelopeUnreadable."""
    try:
        event = _DECODER.decode(body.decode("utf-8"))
        at = event.occurred_at
        occurred_at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise EnvelopeUnreadable("the body is not one of our own events") from error
    if not is_name(event.id) or not is_name(event.type):
        raise EnvelopeUnreadable("the event's id or type is not usable")
    return Envelope(event.id, event.type, occurred_at)


def data_of(event: Json) -> Json:
    """Return what the event tells. Raises FieldMissing."""
    data = event.get(OBJECT)
    if not isinstance(data, dict):
        raise FieldMissing(OBJECT, "an object")
    return data
