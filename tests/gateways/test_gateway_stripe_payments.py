"""What Stripe's adapter makes of payments, checkouts and what both layouts share, one rule a test."""

import pytest
from gateway_stripe_objects import CHARGE, DISPUTE, INTENT, REFUND, SESSION, fact, facts, missing
from hypothesis import given
from hypothesis import strategies as st

from bursar.money.gateways import FieldMissing, gateway
from bursar.money.gateways.facts import (
    Claim,
    DisputeStatus,
    PaymentStatus,
    RefundStatus,
    SessionPayment,
    SessionStatus,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("payment_intent.succeeded", PaymentStatus.succeeded),
        ("payment_intent.payment_failed", PaymentStatus.failed),
        ("payment_intent.canceled", PaymentStatus.canceled),
        ("payment_intent.processing", PaymentStatus.processing),
        ("payment_intent.requires_action", PaymentStatus.requires_action),
        ("payment_intent.amount_capturable_updated", PaymentStatus.processing),
        ("payment_intent.created", PaymentStatus.pending),
        ("payment_intent.partially_funded", PaymentStatus.pending),
    ],
)
def test_type_of_a_payment_event_decides_over_the_objects_status(kind, status):
    assert fact(kind, INTENT).status is status


def test_success_is_worth_what_was_received():
    assert fact("payment_intent.succeeded", INTENT, amount_received=1500).amount_minor == 1500
    assert fact("payment_intent.succeeded", INTENT, amount_received=0).amount_minor == 2000
    assert fact("payment_intent.created", INTENT, amount_received=1500).amount_minor == 2000


@pytest.mark.parametrize("bad", [None, "2000", 2000.0, True, -1, 2**53, 10**30, [2000]], ids=lambda bad: repr(bad)[:12])
@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("payment_intent.succeeded", INTENT),
        ("charge.succeeded", CHARGE),
        ("refund.created", REFUND),
        ("charge.dispute.created", DISPUTE),
    ],
)
def test_amount_that_is_not_a_whole_number_is_refused_by_name(kind, item, bad):
    assert missing(kind, item, amount=bad) == "data.object.amount"


@pytest.mark.parametrize("bad", [None, "", "eu", "euro", "e1r", "eur\n", "\uff25\uff35\uff32", 978])
def test_currency_that_is_not_three_letters_is_refused_by_name(bad):
    assert missing("payment_intent.succeeded", INTENT, currency=bad) == "data.object.currency"


@pytest.mark.parametrize("bad", [None, "", "x" * 256, "pi\x00", 7])
def test_object_without_a_usable_id_is_refused_by_name(bad):
    assert missing("payment_intent.succeeded", INTENT, id=bad) == "data.object.id"


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("eur", 1999, 1999),
        ("jpy", 1999, 1999),
        ("kwd", 1990, 1990),
        ("isk", 50000, 500),
        ("mga", 300, 30000),
        ("iqd", 100, 1000),
        ("ugx", 3000, 30),
        ("huf", 1045, 1045),
        ("twd", 80045, 80045),
    ],
)
def test_stripes_minor_units_become_those_of_iso_4217(currency, amount, minor):
    found = fact("payment_intent.succeeded", INTENT, currency=currency, amount=amount)

    assert (found.amount_minor, found.currency) == (minor, currency.upper())


def test_amount_that_iso_4217_cannot_hold_is_refused():
    assert missing("payment_intent.succeeded", INTENT, currency="isk", amount=50050) == "data.object.amount"
    assert missing("payment_intent.succeeded", INTENT, currency="mga", amount=2**53 - 1) == "data.object.amount"


def test_references_are_read_bare_and_expanded():
    whole = {"id": "cus_1", "object": "customer", "email": "a@example.com"}

    assert fact("payment_intent.succeeded", INTENT, customer=whole).customer == "cus_1"
    assert fact("payment_intent.succeeded", INTENT, customer="cus_1").customer == "cus_1"
    assert fact("payment_intent.succeeded", INTENT, customer={"deleted": True}).customer is None


def test_charge_is_found_in_both_layouts():
    assert fact("payment_intent.succeeded", INTENT, latest_charge="ch_1").charge == "ch_1"
    assert fact("payment_intent.succeeded", INTENT, latest_charge={"id": "ch_1"}).charge == "ch_1"
    assert fact("payment_intent.succeeded", INTENT, charges={"data": [{"id": "ch_2"}, {"id": "ch_1"}]}).charge == "ch_2"


def test_invoice_of_a_payment_is_found_in_both_layouts():
    ordered = {"order_reference": "in_1"}

    assert fact("payment_intent.succeeded", INTENT, invoice="in_1").invoice == "in_1"
    assert fact("payment_intent.succeeded", INTENT, payment_details=ordered).invoice == "in_1"
    assert fact("payment_intent.succeeded", INTENT, payment_details={"order_reference": "A-77"}).invoice is None


def test_fields_that_decide_nothing_never_fail_an_event():
    spoiled = {"receipt_email": 7, "description": [], "metadata": "x", "created": "soon", "last_payment_error": 1}

    found = fact("payment_intent.succeeded", INTENT, **spoiled)

    assert (found.email, found.description, found.claim, found.created_at) == (None, None, Claim(), None)


def test_text_is_made_fit_to_store():
    found = fact("payment_intent.succeeded", INTENT, description="a\x00b\ud800c\u202ed" + "x" * 300)

    assert found.description == ("abcd" + "x" * 300)[:255]


def test_address_too_long_to_be_one_is_nobodys():
    assert fact("payment_intent.succeeded", INTENT, receipt_email="a" * 250 + "@x.com").email is None


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"metadata": {"bursar_order": "ord_1"}}, Claim(order="ord_1")),
        ({"metadata": {"bursar_price": "gold", "bursar_quantity": "2"}}, Claim(price="gold", quantity="2")),
        ({"metadata": {"bursar_price": "gold", "bursar_quantity": 2}}, Claim(price="gold", quantity="2")),
        ({"client_reference_id": "ord_1", "metadata": {"bursar_order": "ord_2"}}, Claim(order="ord_1")),
        ({"client_reference_id": "user-7"}, Claim()),
        ({"metadata": {"other": "x"}}, Claim()),
        ({"metadata": None}, Claim()),
    ],
)
def test_session_says_what_was_bought(changed, claim):
    assert fact("checkout.session.completed", SESSION, **changed).claim == claim


@pytest.mark.parametrize(
    ("kind", "changed", "status", "paid"),
    [
        ("completed", {}, SessionStatus.complete, SessionPayment.paid),
        ("completed", {"payment_status": "unpaid"}, SessionStatus.complete, SessionPayment.unpaid),
        ("completed", {"payment_status": None}, SessionStatus.complete, SessionPayment.paid),
        (
            "completed",
            {"payment_status": None, "mode": "setup"},
            SessionStatus.complete,
            SessionPayment.no_payment_required,
        ),
        ("expired", {"payment_status": None}, SessionStatus.expired, SessionPayment.unpaid),
        ("async_payment_succeeded", {"payment_status": "unpaid"}, SessionStatus.complete, SessionPayment.paid),
        ("async_payment_failed", {"payment_status": "unpaid"}, SessionStatus.complete, SessionPayment.failed),
    ],
)
def test_session_is_paid_when_type_or_object_prove_it(kind, changed, status, paid):
    found = fact(f"checkout.session.{kind}", SESSION, **changed)

    assert (found.status, found.payment_status) == (status, paid)


def test_mode_of_a_session_from_before_modes_is_what_it_led_to():
    bare = {"id": "cs_1"}

    assert fact("checkout.session.completed", bare).mode == "payment"
    assert fact("checkout.session.completed", bare, subscription="sub_1").mode == "subscription"
    assert fact("checkout.session.completed", bare, setup_intent="seti_1").mode == "setup"


def test_expanded_lines_of_a_session_are_read():
    lines = {
        "data": [{"id": "li_1", "price": {"id": "price_1", "product": "prod_1"}, "quantity": 2, "amount_total": 500}]
    }

    (line,) = fact("checkout.session.completed", SESSION, currency="eur", line_items=lines | {"has_more": True}).lines

    assert (line.prices, line.quantity, line.amount_minor) == (("price_1", "prod_1"), 2, 500)


@pytest.mark.parametrize(
    ("kind", "changed", "status"),
    [
        ("charge.succeeded", {"status": "pending"}, PaymentStatus.succeeded),
        ("charge.failed", {"status": "succeeded"}, PaymentStatus.failed),
        ("charge.pending", {"status": "pending"}, PaymentStatus.pending),
        ("charge.expired", {}, PaymentStatus.canceled),
        ("charge.updated", {"status": "failed"}, PaymentStatus.failed),
        ("charge.updated", {"status": None, "paid": True}, PaymentStatus.succeeded),
        ("charge.updated", {"status": None, "paid": False}, PaymentStatus.failed),
    ],
)
def test_state_of_a_charge(kind, changed, status):
    assert fact(kind, CHARGE, **changed).status is status


def test_charge_is_captured_unless_it_says_otherwise():
    assert fact("charge.succeeded", CHARGE, captured=None).is_captured
    assert not fact("charge.succeeded", CHARGE, captured=False).is_captured
    assert fact("charge.captured", CHARGE, captured=False).is_captured


def test_uncaptured_rest_of_a_charge_was_never_ours():
    found = fact("charge.captured", CHARGE, amount=1000, amount_captured=600, amount_refunded=400)

    assert (found.amount_minor, found.refunded_minor) == (600, 0)


def test_refunds_inside_a_charge_are_told_with_the_charge_around_them():
    inside = {"data": [REFUND | {"charge": "ch_other", "status": None}, REFUND | {"id": "re_2", "status": "pending"}]}

    charge, first, second = facts("charge.refunded", CHARGE, payment_intent="pi_1", amount_refunded=500, refunds=inside)

    assert charge.refunded_minor == 500
    assert (first.ref, first.charge, first.payment, first.status) == ("re_1", "ch_1", "pi_1", RefundStatus.succeeded)
    assert (second.ref, second.status) == ("re_2", RefundStatus.pending)


def test_broken_refund_inside_a_charge_is_refused_by_its_path():
    inside = {"data": [REFUND, REFUND | {"amount": "5"}]}

    assert missing("charge.refunded", CHARGE, refunds=inside) == "data.object.refunds.data[1].amount"


def test_dispute_inside_a_charge_is_told():
    _, dispute = facts("charge.updated", CHARGE, dispute=DISPUTE, payment_intent="pi_1")

    assert (dispute.ref, dispute.charge, dispute.payment) == ("du_1", "ch_1", "pi_1")


@pytest.mark.parametrize(
    ("kind", "told", "status"),
    [
        ("refund.created", "requires_action", RefundStatus.pending),
        ("refund.updated", "canceled", RefundStatus.canceled),
        ("refund.failed", "pending", RefundStatus.failed),
        ("charge.refund.updated", "failed", RefundStatus.failed),
        ("charge.refund.updated", None, RefundStatus.succeeded),
    ],
)
def test_state_of_a_refund(kind, told, status):
    assert fact(kind, REFUND, status=told).status is status


@pytest.mark.parametrize(
    ("told", "status", "is_inquiry"),
    [
        ("warning_needs_response", DisputeStatus.needs_response, True),
        ("warning_under_review", DisputeStatus.under_review, True),
        ("warning_closed", DisputeStatus.closed, True),
        ("needs_response", DisputeStatus.needs_response, False),
        ("under_review", DisputeStatus.under_review, False),
        ("charge_refunded", DisputeStatus.closed, False),
        ("won", DisputeStatus.won, False),
        ("lost", DisputeStatus.lost, False),
    ],
)
def test_state_of_a_dispute(told, status, is_inquiry):
    found = fact("charge.dispute.updated", DISPUTE, status=told)

    assert (found.status, found.is_inquiry) == (status, is_inquiry)


def test_dispute_that_names_nothing_disputed_is_refused_by_name():
    assert fact("charge.dispute.created", DISPUTE, charge=None, payment_intent="pi_1").payment == "pi_1"
    assert missing("charge.dispute.created", DISPUTE, charge=None) == "data.object.charge"


def test_closed_inquiry_is_closed_although_the_object_lags():
    assert fact("charge.dispute.closed", DISPUTE, status="warning_under_review").status is DisputeStatus.closed


def test_expanded_charge_of_a_dispute_names_the_payment():
    found = fact("charge.dispute.created", DISPUTE, charge={"id": "ch_1", "payment_intent": "pi_1"})

    assert (found.charge, found.payment) == ("ch_1", "pi_1")


def test_invoice_payment_links_a_payment_to_an_invoice():
    link = {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}

    found = fact("invoice_payment.paid", link)

    assert (found.ref, found.invoice, found.payment, found.charge) == ("inpay_1", "in_1", "pi_1", None)


def test_setup_intent_tells_the_method_it_saved_only_when_it_carries_it():
    method = {
        "id": "pm_1",
        "type": "card",
        "card": {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2031},
    }

    assert facts("setup_intent.succeeded", {"id": "seti_1", "payment_method": "pm_1"}) == ()
    found = fact("setup_intent.succeeded", {"id": "seti_1", "payment_method": method, "customer": "cus_1"})
    assert (found.ref, found.customer, found.brand, found.last4) == ("pm_1", "cus_1", "visa", "4242")


def test_impossible_expiry_of_a_card_is_unknown():
    method = {"id": "pm_1", "type": "card", "card": {"exp_month": 13, "exp_year": "2031"}}

    found = fact("payment_method.attached", method)

    assert (found.exp_month, found.exp_year) == (None, None)


@pytest.mark.parametrize("payload", [{}, {"data": None}, {"data": {}}, {"data": {"object": []}}])
def test_event_without_an_object_is_refused_by_name(payload):
    with pytest.raises(FieldMissing) as refused:
        gateway("stripe").translate(type="payment_intent.succeeded", payload=payload)

    assert refused.value.path == "data.object"


@given(amount=st.integers(0, 2**53 - 1), currency=st.sampled_from(["EUR", "JPY", "KWD", "USD"]))
def test_amount_survives_unchanged_where_stripe_counts_as_iso_does(amount, currency):
    found = fact("payment_intent.created", INTENT, amount=amount, currency=currency.lower())

    assert (found.amount_minor, found.currency) == (amount, currency)


def test_a_fraction_of_a_shilling_is_refused_by_name():
    with pytest.raises(FieldMissing) as refused:
        fact("payment_intent.created", INTENT, amount=501, currency="ugx")

    assert refused.value.path == "data.object.amount"
