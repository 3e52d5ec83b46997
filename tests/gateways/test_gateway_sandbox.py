"""The sandbox's business: deterministic, in order, and as consistent as Stripe's own events."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import msgspec
import pytest

from bursar.money.gateways import gateway
from bursar.money.gateways.facts import (
    ChargeFact,
    DisputeFact,
    DisputeFundsFact,
    InvoiceFact,
    InvoicePaymentFact,
    InvoiceStatus,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    SessionFact,
    SessionPayment,
    SubscriptionFact,
)
from bursar.money.gateways.sandbox import SandboxPrice, business

START = datetime(2026, 1, 1, tzinfo=UTC)
PRICES = (
    SandboxPrice(ref="price_ten", lookup_key="credits-10", product="prod_ten", amount_minor=5000, currency="EUR"),
    SandboxPrice(ref="price_yen", lookup_key="lesson", product="prod_yen", amount_minor=900, currency="JPY"),
    SandboxPrice(
        ref="price_gold", lookup_key="gold", product="prod_gold", amount_minor=2900, currency="EUR", interval="month"
    ),
)


@cache
def events(customers=120, unnamed_share=0.05, old_share=0.5):
    return business(
        7,
        customers=customers,
        start=START,
        months=6,
        prices=PRICES,
        unnamed_share=unnamed_share,
        old_share=old_share,
    )


@cache
def facts(unnamed_share=0.05):
    found = defaultdict(list)
    for event in events(unnamed_share=unnamed_share):
        payload = msgspec.json.decode(event.body)
        for fact in gateway("sandbox").translate(type=event.type, payload=payload).facts:
            found[type(fact)].append(fact)
    return found


def test_same_seed_gives_the_same_bytes():
    again = business(7, customers=120, start=START, months=6, prices=PRICES, unnamed_share=0.05, old_share=0.5)

    assert again == events()


def test_another_seed_gives_another_business():
    other = business(8, customers=120, start=START, months=6, prices=PRICES)

    assert not {event.id for event in other} & {event.id for event in events()}


def test_larger_business_contains_the_smaller_one():
    assert set(events(customers=60)) <= set(events())


def test_events_are_in_order_and_within_the_timeline():
    times = [event.created for event in events()]

    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < datetime(2026, 7, 1, tzinfo=UTC)


def test_every_event_has_an_id_of_its_own_and_says_what_its_body_says():
    for event in events():
        found = gateway("sandbox").envelope(headers={}, body=event.body)
        assert (found.event_id, found.type, found.occurred_at) == (event.id, event.type, event.created)

    assert len({event.id for event in events()}) == len(events())


def test_every_kind_of_happening_occurs():
    kinds = Counter(event.type for event in events())

    for kind in (
        "checkout.session.completed",
        "checkout.session.expired",
        "checkout.session.async_payment_succeeded",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
        "charge.refunded",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
        "customer.subscription.deleted",
        "invoice.payment_failed",
        "invoice_payment.paid",
        "payment_method.detached",
    ):
        assert kinds[kind] > 0, kind


def test_bodies_have_the_size_of_real_ones():
    sizes = [len(event.body) for event in events()]

    assert 1500 < sum(sizes) / len(sizes) < 3500
    assert max(sizes) < 20_000  # four declined charges inside one intent, in the layout of 2020


def test_both_layouts_occur_and_each_names_its_version():
    versions = Counter(msgspec.json.decode(event.body)["api_version"] for event in events())

    assert set(versions) == {"2020-08-27", "2026-04-22.dahlia"}
    assert min(versions.values()) > 500


def test_no_event_is_ignored_or_refused():
    for event in events():
        found = gateway("sandbox").translate(type=event.type, payload=msgspec.json.decode(event.body))
        assert not found.is_ignored


def test_charges_and_sessions_name_payments_that_exist():
    payments = {fact.ref for fact in facts()[PaymentFact]}

    assert {fact.payment for fact in facts()[ChargeFact]} <= payments
    assert {fact.payment for fact in facts()[SessionFact] if fact.payment} <= payments


def test_refunds_and_disputes_name_charges_that_exist_and_stay_within_them():
    charges = {fact.ref: fact for fact in facts()[ChargeFact]}

    for fact in [*facts()[RefundFact], *facts()[DisputeFact], *facts()[DisputeFundsFact]]:
        assert fact.payment == charges[fact.charge].payment
        assert fact.amount_minor <= charges[fact.charge].amount_minor
    assert all(fact.refunded_minor <= fact.amount_minor for fact in facts()[ChargeFact])


def test_paid_invoice_with_an_amount_is_linked_to_a_succeeded_payment_of_that_amount():
    succeeded = {f.ref: f for f in facts()[PaymentFact] if f.status is PaymentStatus.succeeded}
    paid_by = {fact.ref: fact.payments for fact in facts()[InvoiceFact] if fact.payments}
    paid_by |= {link.invoice: (link.payment,) for link in facts()[InvoicePaymentFact]}

    paid = {f.ref: f for f in facts()[InvoiceFact] if f.status is InvoiceStatus.paid and f.total_minor}

    assert len(paid) > 100
    for name, fact in paid.items():
        (payment,) = paid_by[name]
        assert succeeded[payment].amount_minor == fact.paid_minor == fact.total_minor
        assert succeeded[payment].invoice == name


def test_invoices_and_sessions_name_subscriptions_that_exist():
    subscriptions = {fact.ref for fact in facts()[SubscriptionFact]}

    assert {fact.subscription for fact in facts()[InvoiceFact]} <= subscriptions
    assert {fact.subscription for fact in facts()[SessionFact] if fact.subscription} <= subscriptions
    assert {line.subscription for fact in facts()[InvoiceFact] for line in fact.lines} <= subscriptions


def test_periods_of_a_subscription_follow_one_another_without_a_gap():
    periods = defaultdict(set)
    for fact in facts()[SubscriptionFact]:
        periods[fact.ref].add((fact.current_period_start, fact.current_period_end))

    for spans in periods.values():
        ordered = sorted(spans)
        assert all(before[1] == after[0] for before, after in pairwise(ordered))


@pytest.mark.parametrize(("unnamed_share", "least", "most"), [(0.0, 1, 1), (0.05, 0.85, 0.99)])
def test_paid_sale_names_its_price_on_session_or_payment_unless_it_is_unmatched(unnamed_share, least, most):
    found = facts(unnamed_share)
    claims = {fact.ref: fact.claim for fact in found[PaymentFact]}
    paid = {f.ref: f for f in found[SessionFact] if f.mode == "payment" and f.payment_status is SessionPayment.paid}

    named = [fact for fact in paid.values() if fact.claim.price or claims[fact.payment].price]

    assert least <= len(named) / len(paid) <= most


@pytest.mark.parametrize(("currency", "told"), [("JPY", 900), ("ISK", 90_000), ("EUR", 900)])
def test_amounts_are_told_in_stripes_minor_units_and_come_back_in_ours(currency, told):
    price = SandboxPrice(ref="price_x", lookup_key="x", product="prod_x", amount_minor=900, currency=currency)

    found = business(1, customers=3, start=START, months=2, prices=[price])

    created = next(event for event in found if event.type == "payment_intent.created")
    payload = msgspec.json.decode(created.body)
    (fact,) = gateway("sandbox").translate(type=created.type, payload=payload).facts
    assert payload["data"]["object"]["amount"] % told == 0
    assert fact.amount_minor % 900 == 0
    assert fact.currency == currency
