"""The types of events, from the adapters' own tables."""

import inspect
from collections.abc import Callable, Iterable
from enum import StrEnum
from types import ModuleType
from typing import Any

from bursar.money.gateways import dodo, manual, operator, stripe
from bursar.money.gateways.dodo import payments as dodo_payments
from bursar.money.gateways.dodo import subscriptions as dodo_subscriptions
from bursar.money.gateways.stripe import billing, checkout, payments
from generator import markdown

_ABOUT = """
What each type of event does. An event is a report of facts; what is merged is the object's newest snapshot, and
everything else follows from it: see [facts merge](../explanation/facts-merge.md).

An arrow names the state that the type itself proves, whatever the object inside says. Without one the object's own
status decides.

States of an event: `received` (waits), `applied`, `ignored` (kept, not acted on), `failed` (is tried again after 10 s, 30 s,
90 s, … at most 6 h), `dead` (tried `BURSAR_RETRIES_MAX` times, or never readable). Every type that is not listed here is
stored, audited and ends `ignored`; it can be replayed when a later version knows it.
"""

_STRIPE = {
    "payment_facts": "Merges the payment. A success grants what was bought.",
    "charge_facts": "Merges one attempt to take money, its running total of refunds, and refunds or a dispute carried inside.",
    "refund_facts": "Merges the refund. A success takes back its share.",
    "dispute_facts": "Merges the dispute. Open suspends, won restores, lost takes back. Funds events book what the gateway moved.",
    "invoice_facts": "Merges the invoice with its lines. Paid proves its payment and grants its lines.",
    "invoice_payment_facts": "Links a payment to the invoice it settles (layouts since 2025).",
    "subscription_facts": "Merges the subscription: features, quotas and licences of its price start, suspend and end with it.",
    "session_facts": "Merges the checkout. Paid, or nothing due, grants what it names.",
    "customer_facts": "Merges the customer's address, name and phone.",
    "payment_method_facts": "Merges a saved way to pay: brand, last four digits, expiry.",
    "setup_facts": "`setup_intent.succeeded` merges the payment method where it is carried whole. The others change nothing.",
    "_forecast": "Read and without effect: it announces an invoice that does not exist yet.",
}
_DODO = {
    "payment_facts": "Merges the payment, its customer, its cart, and the refunds and disputes it lists. A success grants.",
    "refund_facts": "Merges the refund and its customer. A success takes back its share.",
    "dispute_facts": "Merges the dispute and its customer. Open suspends, won restores, lost takes back.",
    "subscription_facts": "Merges the subscription, its customer, product and add-ons.",
    "licence_facts": "Keeps the licence key that Dodo itself issued.",
}
_OWN = {
    manual.PAYMENT_RECORDED: "Merges a payment taken at the desk; it succeeded. Grants the price or order it names.",
    manual.REFUND_RECORDED: "Merges a refund handed back at the desk. Takes back its share.",
    operator.PAYMENT_ASSIGNED: "An operator's word on what unmatched money bought. A later word on the same payment replaces it.",
    operator.CATALOG_CHANGED: "A price or reference is new: unmatched money and unpriced subscriptions that wait for it are read again.",
}


def page() -> str:
    """Return the page."""
    return markdown.page(
        "Event types",
        _ABOUT,
        "## Stripe, and the sandbox, which speaks its format",
        "Signed with `Stripe-Signature`. Layouts of 2011 to 2026 are read alike; thin events (`v2.core.event`) carry no object and are ignored. `incomplete_expired` is read as `canceled`.",
        _table(stripe.READERS, _STRIPE, _proven(stripe.READERS, (payments, billing, checkout))),
        "## Dodo Payments",
        "Signed with the Standard Webhooks headers. The event is named by `webhook-id`.",
        _table(dodo.READERS, _DODO, _proven(dodo.READERS, (dodo_payments, dodo_subscriptions))),
        "## Bursar's own",
        "Written by the API and the pages, stored and replayed like a gateway's. No delivery can be one of them.",
        markdown.table(("type", "what it does"), [(markdown.code(kind), what) for kind, what in _OWN.items()]),
    )


def _table(readers: dict[str, Callable[..., Any]], words: dict[str, str], proven: dict[str, str]) -> str:
    """Return a row for each reader, with the types it understands."""
    types: dict[str, list[str]] = {}
    for kind, reader in readers.items():
        state = f" → {proven[kind]}" if kind in proven else ""
        types.setdefault(words[reader.__name__], []).append(markdown.code(kind) + state)
    return markdown.table(("types", "what they do"), [("<br>".join(kinds), what) for what, kinds in types.items()])


def _proven(kinds: Iterable[str], modules: Iterable[ModuleType]) -> dict[str, str]:
    """Return the state that each type decides by itself: whatever the adapters map from a type to a state."""
    known = set(kinds)
    return {
        kind: state.value
        for module in modules
        for _, mapping in inspect.getmembers(module, lambda value: isinstance(value, dict))
        for kind, state in mapping.items()
        if kind in known and isinstance(state, StrEnum)
    }
