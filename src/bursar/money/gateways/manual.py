"""Payments at the desk: cash, transfers and whatever else a person took and wrote down through our API.

The API writes an event with these builders and stores it; from there on a desk payment is like any other.
The same `ref` is the same payment: recording it twice is a repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from bursar.money.gateways import own_events
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import AnyFact, PaymentFact, PaymentStatus, RefundFact, RefundStatus
from bursar.money.gateways.fields import (
    Json,
    amount,
    claim_of,
    currency,
    email,
    instant_of_text,
    quantity,
    ref,
    ref_of,
    text,
)
from bursar.money.gateways.own_events import OBJECT, OwnEvent
from bursar.money.gateways.port import Envelope, FieldMissing, SecretInvalid, Translation
from bursar.money.gateways.signatures import refusal

PAYMENT_RECORDED: Final = "manual.payment.recorded"
REFUND_RECORDED: Final = "manual.refund.recorded"


class DeskMethod(StrEnum):
    cash = "cash"
    transfer = "transfer"
    other = "other"


def payment_event(
    *,
    ref: str,
    amount_minor: int,
    currency: str,
    method: DeskMethod,
    occurred_at: datetime,
    customer: str | None = None,
    email: str | None = None,
    price: str | None = None,
    quantity: int = 1,
    order: str | None = None,
    description: str | None = None,
) -> OwnEvent:
    """Return the event of money taken at the desk.

    ref: the caller's name of the payment, unique within the account. price: our price id or lookup key.
    """
    return own_events.write(
        event_id=f"payment:{ref}",
        kind=PAYMENT_RECORDED,
        occurred_at=occurred_at,
        data={
            "ref": ref,
            "amount_minor": amount_minor,
            "currency": currency,
            "method": method.value,
            "customer": customer,
            "email": email,
            "price": price,
            "quantity": quantity,
            "order": order,
            "description": description,
        },
    )


def refund_event(
    *,
    ref: str,
    payment: str,
    amount_minor: int,
    currency: str,
    occurred_at: datetime,
    reason: str | None = None,
    refund: str | None = None,
) -> OwnEvent:
    """Return the event of money handed back. payment: the `ref` of the desk payment. refund: our own id of it, if it has one."""
    return own_events.write(
        event_id=f"refund:{ref}",
        kind=REFUND_RECORDED,
        occurred_at=occurred_at,
        data={
            "ref": ref,
            "payment": payment,
            "amount_minor": amount_minor,
            "currency": currency,
            "reason": reason,
            "refund": refund,
        },
    )


@dataclass(frozen=True, slots=True)
class Manual:
    """See `port.Gateway`. It has no outside, so it verifies nothing and signs nothing."""

    name: str = "manual"

    def check_secret(self, secret: str) -> None:
        """Raises SecretInvalid, always."""
        del secret
        raise SecretInvalid("payments at the desk have no signing secret", hint="Record them through the API.")

    def verify(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
    ) -> None:
        """Raises SignatureInvalid, always: nobody outside may deliver a desk payment."""
        del headers, body, secrets, now, tolerance_s
        raise refusal("never_delivered", "Payments at the desk are recorded through the API.")

    def envelope(self, *, headers: Mapping[str, str], body: bytes) -> Envelope:
        del headers
        return own_events.envelope(body)

    def translate(self, *, type: str, payload: dict[str, Any]) -> Translation:  # noqa: A002
        if type == PAYMENT_RECORDED:
            return Translation((_payment(payload),))
        if type == REFUND_RECORDED:
            return Translation((_refund(payload),))
        return Translation(is_ignored=True)

    def translate_object(self, *, kind: Kind, object: dict[str, Any]) -> tuple[AnyFact, ...]:  # noqa: A002
        del kind, object
        return ()

    def sign(self, *, body: bytes, secret: str, now: datetime, event_id: str) -> dict[str, str]:
        del body, secret, now, event_id
        return {}


def _payment(event: Json) -> PaymentFact:
    data = own_events.data_of(event)
    if data.get("method") not in tuple(DeskMethod):
        raise FieldMissing(f"{OBJECT}.method", "cash, transfer or other")
    bought = {
        "bursar_order": data.get("order"),
        "bursar_price": data.get("price"),
        "bursar_quantity": quantity(data, "quantity", OBJECT) if data.get("price") is not None else None,
    }
    return PaymentFact(
        ref=ref(data, "ref", OBJECT),
        status=PaymentStatus.succeeded,
        amount_minor=amount(data, "amount_minor", OBJECT),
        currency=currency(data, "currency", OBJECT),
        customer=ref_of(data.get("customer")),
        email=email(data.get("email")),
        payment_method=text(data.get("method")),
        claim=claim_of(bought),
        description=text(data.get("description")),
        created_at=instant_of_text(event.get("occurred_at")),
    )


def _refund(event: Json) -> RefundFact:
    data = own_events.data_of(event)
    return RefundFact(
        ref=ref(data, "ref", OBJECT),
        status=RefundStatus.succeeded,
        amount_minor=amount(data, "amount_minor", OBJECT),
        currency=currency(data, "currency", OBJECT),
        payment=ref(data, "payment", OBJECT),
        reason=text(data.get("reason")),
        bursar_refund=text(data.get("refund")),
        created_at=instant_of_text(event.get("occurred_at")),
    )
