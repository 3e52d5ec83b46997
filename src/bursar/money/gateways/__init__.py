"""Gateways: the outside world's formats, and nothing about what they mean to us.

What it is: one port (verify, route, translate, sign) and an adapter each for Stripe, Dodo Payments, the
desk (`manual`) and the sandbox, which speaks Stripe's format.
What it is not: it stores nothing and decides nothing; facts go to the floors above.

Invariants:
- a signature is checked on the raw bytes, before anything is parsed;
- hostile input raises SignatureInvalid, EnvelopeUnreadable or FieldMissing and nothing else;
- translation is pure: the same body gives the same facts;
- only Bursar writes events of types `bursar.…` (`operator`) and `manual.…` (`manual`); no delivery can be one.
"""

from bursar.money.gateways import manual, operator
from bursar.money.gateways.own_events import OwnEvent
from bursar.money.gateways.port import (
    Envelope,
    EnvelopeUnreadable,
    FieldMissing,
    Gateway,
    SecretInvalid,
    SignatureInvalid,
    Translation,
)
from bursar.money.gateways.registry import GATEWAYS, GatewayUnknown, gateway

__all__ = [
    "GATEWAYS",
    "Envelope",
    "EnvelopeUnreadable",
    "FieldMissing",
    "Gateway",
    "GatewayUnknown",
    "OwnEvent",
    "SecretInvalid",
    "SignatureInvalid",
    "Translation",
    "gateway",
    "manual",
    "operator",
]
