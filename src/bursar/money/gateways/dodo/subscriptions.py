"""Dodo's subscriptions and licence keys.

How its states are ours: `on_hold` is a renewal that failed and is tried again, so it is past due, and our own
grace period says for how long; `failed` never began (incomplete) and is not final here, because a customer
who does come through must not stay locked out; `expired` ran to the end of its term (canceled).

Sources: Dodo Payments "Subscription payment retries"; webhook schemas of SDK 1.123.0.
"""

from datetime import timedelta
from typing import Final

from bursar.money.gateways.dodo.payments import OBJECT, customer_facts
from bursar.money.gateways.facts import AnyFact, LicenceKeyFact, Line, SubscriptionFact, SubscriptionStatus
from bursar.money.gateways.fields import (
    Json,
    child,
    children,
    claim_of,
    instant_of_text,
    is_true,
    period,
    quantity,
    ref,
    ref_of,
    text,
    whole,
)
from bursar.money.gateways.port import FieldMissing

_STATUS: Final = {
    "pending": SubscriptionStatus.incomplete,
    "failed": SubscriptionStatus.incomplete,
    "active": SubscriptionStatus.active,
    "on_hold": SubscriptionStatus.past_due,
    "past_due": SubscriptionStatus.past_due,
    "paused": SubscriptionStatus.paused,
    "cancelled": SubscriptionStatus.canceled,
    "expired": SubscriptionStatus.canceled,
}
_PROVEN: Final = {f"subscription.{word}": status for word, status in _STATUS.items() if word != "pending"} | {
    "subscription.renewed": SubscriptionStatus.active,
    "subscription.unpaused": SubscriptionStatus.active,
}
_TRIAL_DAYS_MAX: Final = 36_500


def subscription_facts(kind: str, subscription: Json) -> tuple[AnyFact, ...]:
    """Read a subscription, its customer, its product and its add-ons."""
    status = _PROVEN.get(kind) or _STATUS.get(str(subscription.get("status")))
    if status is None:
        raise FieldMissing(f"{OBJECT}.status", "a status of a subscription")
    next_billing = instant_of_text(subscription.get("next_billing_date"))
    start, end = period(instant_of_text(subscription.get("previous_billing_date")), next_billing)
    is_ending = is_true(subscription, "cancel_at_next_billing_date")
    canceled_at = instant_of_text(subscription.get("cancelled_at"))
    created_at = instant_of_text(subscription.get("created_at"))
    trial_days = whole(subscription, "trial_period_days", OBJECT) or 0
    has_trial = created_at is not None and 0 < trial_days <= _TRIAL_DAYS_MAX
    ended_at = canceled_at
    if kind == "subscription.expired" or (not kind and subscription.get("status") == "expired"):
        ended_at = instant_of_text(subscription.get("expires_at")) or canceled_at
    fact = SubscriptionFact(
        ref=ref(subscription, "subscription_id", OBJECT),
        status=status,
        customer=ref_of(child(subscription, "customer").get("customer_id")),
        claim=claim_of(subscription.get("metadata")),
        lines=_lines(subscription),
        current_period_start=start,
        current_period_end=end,
        is_ending=is_ending,
        cancel_at=next_billing if is_ending else None,
        canceled_at=canceled_at,
        ended_at=ended_at if status is SubscriptionStatus.canceled else None,
        trial_end=created_at + timedelta(days=trial_days) if created_at and has_trial else None,
        created_at=created_at,
    )
    return (*customer_facts(subscription), fact)


def licence_facts(_kind: str, licence: Json) -> tuple[AnyFact, ...]:
    """Read a licence key that Dodo issued. The key is kept whole or refused: part of a key opens nothing."""
    limit = whole(licence, "activations_limit", OBJECT)
    if limit is not None and limit < 0:
        raise FieldMissing(f"{OBJECT}.activations_limit", "a number of activations, not negative")
    return (
        LicenceKeyFact(
            ref=ref(licence, "id", OBJECT),
            key=ref(licence, "key", OBJECT),
            status=text(licence.get("status")) or "active",
            customer=ref_of(licence.get("customer_id")),
            payment=ref_of(licence.get("payment_id")),
            product=ref_of(licence.get("product_id")),
            activations_max=limit,
            expires_at=instant_of_text(licence.get("expires_at")),
            created_at=instant_of_text(licence.get("created_at")),
        ),
    )


def _lines(subscription: Json) -> tuple[Line, ...]:
    product = ref_of(subscription.get("product_id"))
    main = (Line(prices=(product,), quantity=quantity(subscription, "quantity", OBJECT)),) if product else ()
    extras = [
        Line(
            prices=(ref(item, "addon_id", f"{OBJECT}.addons[{i}]"),),
            quantity=quantity(item, "quantity", f"{OBJECT}.addons[{i}]"),
        )
        for i, item in enumerate(children(subscription, "addons"))
    ]
    return (*main, *extras)
