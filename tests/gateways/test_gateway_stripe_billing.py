"""What Stripe's adapter makes of invoices and subscriptions, in each layout, one rule a test."""

import pytest
from gateway_stripe_objects import INVOICE, SUBSCRIPTION, fact, missing

from bursar.money.gateways.facts import (
    Claim,
    InvoiceStatus,
    SubscriptionStatus,
)


def test_cut_list_of_lines_says_so():
    lines = {"data": [], "has_more": True}

    assert fact("invoice.paid", INVOICE, lines=lines).has_more_lines
    assert fact("customer.subscription.updated", SUBSCRIPTION, items=lines).has_more_lines
    assert not fact("invoice.paid", INVOICE).has_more_lines


@pytest.mark.parametrize(
    ("kind", "changed", "status"),
    [
        ("paid", {}, InvoiceStatus.paid),
        ("payment_succeeded", {"status": "draft"}, InvoiceStatus.paid),
        ("payment_failed", {}, InvoiceStatus.open),
        ("payment_failed", {"status": "draft"}, InvoiceStatus.open),
        ("payment_failed", {"status": "paid"}, InvoiceStatus.paid),
        ("payment_action_required", {"status": None, "attempted": False}, InvoiceStatus.open),
        ("voided", {}, InvoiceStatus.void),
        ("deleted", {"status": "draft"}, InvoiceStatus.void),
        ("marked_uncollectible", {}, InvoiceStatus.uncollectible),
        ("created", {"status": "draft"}, InvoiceStatus.draft),
        ("updated", {"status": None, "paid": True}, InvoiceStatus.paid),
        ("updated", {"status": None, "forgiven": True}, InvoiceStatus.uncollectible),
        ("updated", {"status": None, "closed": True}, InvoiceStatus.open),
        ("updated", {"status": None}, InvoiceStatus.draft),
    ],
)
def test_state_of_an_invoice(kind, changed, status):
    assert fact(f"invoice.{kind}", INVOICE, **changed).status is status


def test_unknown_state_of_an_invoice_is_refused_by_name():
    assert missing("invoice.updated", INVOICE, status="frozen") == "data.object.status"


def test_paid_invoice_whose_object_lags_is_paid_in_full():
    assert fact("invoice.paid", INVOICE, amount_paid=0).paid_minor == 2000
    assert fact("invoice.paid", INVOICE, amount_paid=1500).paid_minor == 1500
    assert fact("invoice.paid", INVOICE, amount_due=0).paid_minor == 0
    assert fact("invoice.created", INVOICE, amount_paid=0).paid_minor == 0


def test_payments_of_an_invoice_are_found_in_both_layouts():
    listed = [
        {"payment": {"type": "payment_intent", "payment_intent": "pi_1"}, "status": "canceled"},
        {"payment": {"type": "payment_intent", "payment_intent": {"id": "pi_2"}}, "status": "paid"},
        {"payment": {"type": "charge", "charge": "ch_9"}, "status": "paid"},
    ]

    old = fact("invoice.paid", INVOICE, payment_intent="pi_1", charge="ch_1")
    new = fact("invoice.paid", INVOICE, payments={"data": listed})

    assert (old.payments, old.charge) == (("pi_1",), "ch_1")
    assert (new.payments, new.charge) == (("pi_2",), "ch_9")


def test_subscription_and_claim_of_an_invoice_are_found_in_three_layouts():
    details = {"subscription": "sub_1", "metadata": {"bursar_price": "gold"}}

    of_2026 = fact("invoice.paid", INVOICE, parent={"subscription_details": details})
    of_2023 = fact("invoice.paid", INVOICE, subscription="sub_1", subscription_details=details | {"subscription": None})
    of_2018 = fact("invoice.paid", INVOICE, subscription="sub_1", metadata={"bursar_price": "gold"})

    for found in (of_2026, of_2023, of_2018):
        assert (found.subscription, found.claim) == ("sub_1", Claim(price="gold"))


def test_own_claim_of_an_invoice_goes_before_its_subscriptions():
    details = {"subscription": "sub_1", "metadata": {"bursar_price": "gold", "bursar_quantity": "3"}}

    found = fact("invoice.paid", INVOICE, metadata={"bursar_price": "silver"}, parent={"subscription_details": details})

    assert found.claim == Claim(price="silver")


LINE = {"id": "il_1", "amount": 2000, "quantity": 2, "period": {"start": 100, "end": 200}}


OF_2018 = LINE | {"plan": {"id": "gold", "product": "prod_1"}, "subscription": "sub_1", "proration": True}


OF_2020 = LINE | {
    "price": {"id": "gold", "product": "prod_1"},
    "plan": {"id": "gold"},
    "subscription": "sub_1",
    "proration": True,
}


OF_2026 = LINE | {
    "pricing": {"type": "price_details", "price_details": {"price": "gold", "product": "prod_1"}},
    "parent": {
        "type": "subscription_item_details",
        "subscription_item_details": {"subscription": "sub_1", "proration": True},
        "invoice_item_details": None,
    },
}


@pytest.mark.parametrize("line", [OF_2018, OF_2020, OF_2026], ids=["2018", "2020", "2026"])
def test_line_of_an_invoice_is_the_same_in_every_layout(line):
    (found,) = fact("invoice.paid", INVOICE, lines={"data": [line]}).lines

    assert (found.prices, found.subscription, found.is_proration) == (("gold", "prod_1"), "sub_1", True)
    assert (found.quantity, found.amount_minor) == (2, 2000)
    assert (found.period_start.timestamp(), found.period_end.timestamp()) == (100, 200)


def test_credited_line_keeps_its_sign():
    (found,) = fact("invoice.paid", INVOICE, lines={"data": [LINE | {"amount": -700, "quantity": None}]}).lines

    assert (found.amount_minor, found.quantity) == (-700, 1)


@pytest.mark.parametrize("bad", [-1, 2**31, "2", 1.5])
def test_quantity_of_a_line_that_is_none_is_refused_by_name(bad):
    assert (
        missing("invoice.paid", INVOICE, lines={"data": [LINE | {"quantity": bad}]})
        == "data.object.lines.data[0].quantity"
    )


@pytest.mark.parametrize(
    ("kind", "told", "status"),
    [
        ("updated", "incomplete", SubscriptionStatus.incomplete),
        ("updated", "incomplete_expired", SubscriptionStatus.canceled),
        ("updated", "trialing", SubscriptionStatus.trialing),
        ("updated", "past_due", SubscriptionStatus.past_due),
        ("updated", "unpaid", SubscriptionStatus.unpaid),
        ("deleted", "active", SubscriptionStatus.canceled),
        ("paused", "active", SubscriptionStatus.paused),
        ("resumed", "paused", SubscriptionStatus.active),
        ("resumed", "past_due", SubscriptionStatus.past_due),
    ],
)
def test_state_of_a_subscription(kind, told, status):
    assert fact(f"customer.subscription.{kind}", SUBSCRIPTION, status=told).status is status


def test_subscription_that_never_began_has_ended():
    found = fact("customer.subscription.updated", SUBSCRIPTION, status="incomplete_expired", canceled_at=500)

    assert found.ended_at.timestamp() == 500


def test_period_of_a_subscription_is_found_in_both_layouts():
    period = {"current_period_start": 100, "current_period_end": 200}
    other = {"id": "si_2", "current_period_start": 1, "current_period_end": 900}

    old = fact("customer.subscription.updated", SUBSCRIPTION, **period)
    new = fact("customer.subscription.updated", SUBSCRIPTION, items={"data": [{"id": "si_1"} | period, other]})

    for found in (old, new):
        assert (found.current_period_start.timestamp(), found.current_period_end.timestamp()) == (100, 200)


def test_single_plan_of_an_old_subscription_is_its_line():
    (line,) = fact(
        "customer.subscription.updated", SUBSCRIPTION, plan={"id": "gold", "product": "prod_1"}, quantity=3
    ).lines

    assert (line.prices, line.quantity) == (("gold", "prod_1"), 3)


def test_subscription_that_will_cancel_is_ending():
    assert fact("customer.subscription.updated", SUBSCRIPTION, cancel_at_period_end=True).is_ending
    assert fact("customer.subscription.updated", SUBSCRIPTION, cancel_at=900).is_ending
    assert not fact("customer.subscription.updated", SUBSCRIPTION, cancel_at_period_end=False).is_ending
