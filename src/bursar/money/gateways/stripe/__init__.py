"""Stripe's receiving half: signed deliveries in, facts out. The sandbox is this adapter under another name.

Invariants:
- the type of an event decides what is read; an object of another layout is read as far as it goes;
- every layout from 2011 to 2026 gives the same facts for the same sale;
- an amount is an exact whole number in ISO 4217 minor units or the event is refused, naming the field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor
from typing import Any, Final

import msgspec

from bursar.money.gateways import signatures
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import instant, instant_of_text, is_name
from bursar.money.gateways.parsing import parse
from bursar.money.gateways.port import Envelope, EnvelopeUnreadable, Translation
from bursar.money.gateways.stripe.events import READERS, translate
from bursar.money.gateways.stripe.objects import translate_object

__all__ = ["READERS", "Stripe"]


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int | float | str


_DECODER: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Stripe:
    """See `port.Gateway`."""

    name: str

    def check_secret(self, secret: str) -> None:
        """Raises SecretInvalid for a signing secret that cannot protect an account."""
        signatures.check_stripe_secret(secret)

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
    ) -> None:
        signatures.verify_stripe(headers=headers, body=body, secrets=secrets, now=now, tolerance_s=tolerance_s)

    def envelope(self, *, headers: Mapping[str, str], body: bytes) -> Envelope:
        """Read `id`, `type` and `created`: strict UTF-8, no byte order mark; of two equal keys the last counts.

        Thin events (`v2.core.event`) write `created` as a text; they carry no object, so they are kept and ignored.
        """
        del headers
        try:
            event = parse(body, _DECODER)
            occurred_at = _instant(event.created)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise EnvelopeUnreadable("the body is not JSON in UTF-8 with an event's id, type and created") from error
        if not is_name(event.id) or not is_name(event.type) or occurred_at is None:
            raise EnvelopeUnreadable("the event's id, type or created is not usable")
        return Envelope(event.id, event.type, occurred_at)

    def translate(self, *, type: str, payload: dict[str, Any]) -> Translation:  # noqa: A002
        return translate(type, payload)

    def translate_object(self, *, kind: Kind, object: dict[str, Any]) -> tuple[AnyFact, ...]:  # noqa: A002
        return translate_object(kind, object)

    def sign(self, *, body: bytes, secret: str, now: datetime, event_id: str) -> dict[str, str]:
        del event_id
        return signatures.sign_stripe(body=body, secret=secret, now=now)


def _instant(created: float | str) -> datetime | None:
    return instant_of_text(created) if isinstance(created, str) else instant(floor(created))
