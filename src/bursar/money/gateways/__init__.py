"""Gateways: the outside world's formats, and nothing about what they mean to us.

What it is: one port (verify, route, translate, sign) and an adapter each for Stripe, Dodo Payments, the
desk (`manual`) and the sandbox, which speaks Stripe's format.
What it is not: it stores nothing and decides nothing; facts go to the floors above.

Invariants:
- a signature is checked on the raw bytes, before anything is parsed;
- hostile input raises SignatureInvalid, EnvelopeUnreadable or FieldMissing and nothing else;
- translation is pure: the same body gives the same facts.
"""

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
    "SecretInvalid",
    "SignatureInvalid",
    "Translation",
    "gateway",
]
