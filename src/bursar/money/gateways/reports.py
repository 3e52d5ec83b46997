"""Reported objects: what a gateway told us when we asked, written as an event of our own.

The answer to a call, an object fetched, a difference that reconciliation found: each becomes an event
`bursar.object_reported` in the account's lane, and its facts are merged exactly like a delivery's. It is versioned
by the gateway's own time of that state, so it never undoes a newer report.

Body: `data` holds `kind` (see `calls.Kind`), `object` (as the gateway wrote it) and `source`.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from bursar.money.gateways import own_events
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.fields import Json, word
from bursar.money.gateways.own_events import OBJECT, OwnEvent
from bursar.money.gateways.port import FieldMissing, Gateway, Translation

OBJECT_REPORTED: Final = "bursar.object_reported"

_DIGESTED: Final = msgspec.json.Encoder(order="deterministic")
_KINDS: Final = frozenset(Kind)


class Source(StrEnum):
    """How we came to know."""

    call = "call"
    fetch = "fetch"
    reconciliation = "reconciliation"


def report_event(*, kind: Kind, object: Json, at: datetime, source: Source) -> OwnEvent:  # noqa: A002
    """Return the report of an object. The same object at the same time is the same event, however it was obtained.

    at: the gateway's own time of this state (`Answer.at`).
    """
    digest = sha256(_DIGESTED.encode((kind, object, at))).hexdigest()
    return own_events.write(
        event_id=f"{OBJECT_REPORTED}:{kind}:{digest}",
        kind=OBJECT_REPORTED,
        occurred_at=at,
        data={"kind": kind.value, "object": object, "source": source.value},
    )


def translate_report(adapter: Gateway, event: Json) -> Translation:
    """Return the facts of a reported object, as the adapter of its account reads it. Raises FieldMissing."""
    data = own_events.data_of(event)
    kind, item = word(data, "kind"), data.get("object")
    if not isinstance(item, dict):
        raise FieldMissing(f"{OBJECT}.object", "an object")
    if kind not in _KINDS:
        return Translation(is_ignored=True)  # It was written by a version that knows more kinds.
    return Translation(adapter.translate_object(kind=Kind(kind), object=item))
