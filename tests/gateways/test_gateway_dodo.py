"""Dodo Payments: all 48 types, the object tolerantly, the amounts strictly."""

from datetime import UTC, datetime

import pytest
from gateway_material import dodo_events, needs_material, read

from bursar.money.gateways import FieldMissing, gateway
from bursar.money.gateways.facts import (
    Claim,
    CustomerFact,
    DisputeFact,
    DisputeStatus,
    LicenceKeyFact,
    Line,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
    SubscriptionFact,
    SubscriptionStatus,
)

NOON = datetime(2026, 1, 15, 10, tzinfo=UTC)
CUSTOMER = {"customer_id": "cus_1", "email": "a@example.com", "name": "Ada"}
PAYMENT = {"payment_id": "pay_1", "total_amount": 400, "currency": "USD", "customer": CUSTOMER, "metadata": {}}
REFUND = {"refund_id": "ref_1", "payment_id": "pay_1", "amount": 100, "currency": "USD", "status": "succeeded"}
DISPUTE = {"dispute_id": "dp_1", "payment_id": "pay_1", "amount": "400", "currency": "USD"}
SUBSCRIPTION = {"subscription_id": "sub_1", "product_id": "pdt_1", "quantity": 1, "status": "active"}


def facts(kind, item, **changed):
    return gateway("dodo").translate(type=kind, payload={"type": kind, "data": item | changed}).facts


def fact(kind, item, **changed):
    return facts(kind, item, **changed)[-1]


def missing(kind, item, **changed):
    with pytest.raises(FieldMissing) as refused:
        facts(kind, item, **changed)
    return refused.value.path


@needs_material
def test_every_event_of_the_material_is_translated():
    refused = set()
    for _, event in dodo_events():
        try:
            gateway("dodo").translate(type=event["type"], payload=event)
        except FieldMissing as why:
            refused.add((event["type"].split(".")[0], why.path))

    # The generated samples have the currency "currency", the amount "amount" and refunds without an amount:
    # those are of the whole payment.
    assert refused == set()


@needs_material
def test_types_that_tell_of_dodos_own_books_are_ignored():
    acted_on = {"payment", "refund", "dispute", "subscription", "license_key"}
    kinds = read("dodo/event_types.json")

    ignored = [kind for kind in kinds if kind.split(".")[0] not in acted_on]

    assert len(kinds) == 48
    assert all(gateway("dodo").translate(type=kind, payload={}).is_ignored for kind in ignored)


@needs_material
def test_type_of_a_payment_decides_although_the_test_tool_says_succeeded():
    event = read("dodo/events/cli/payment.cancelled.json")

    assert event["data"]["status"] == "succeeded"
    assert gateway("dodo").translate(type="payment.cancelled", payload=event).facts == (
        CustomerFact(ref="cus_test", email="test@example.com", name="Test user", phone="+15555550100"),
        PaymentFact(
            ref="pay_test",
            status=PaymentStatus.canceled,
            amount_minor=400,
            currency="USD",
            customer="cus_test",
            email="test@example.com",
            lines=(Line(prices=("pdt_test",)),),
            created_at=NOON,
        ),
    )


@needs_material
def test_failed_refund_is_failed_although_the_test_tool_says_succeeded():
    event = read("dodo/events/cli/refund.failed.json")

    assert gateway("dodo").translate(type="refund.failed", payload=event).facts[-1] == RefundFact(
        ref="ref_test",
        status=RefundStatus.failed,
        amount_minor=400,
        currency="USD",
        payment="pay_test",
        reason="Testing success refund",
        created_at=NOON,
    )


@needs_material
def test_active_subscription_has_its_product_and_period():
    event = read("dodo/events/cli/subscription.active.json")

    assert gateway("dodo").translate(type="subscription.active", payload=event).facts[-1] == SubscriptionFact(
        ref="sub_test",
        status=SubscriptionStatus.active,
        customer="cus_test",
        lines=(Line(prices=("pdt_test",)),),
        current_period_start=NOON,
        current_period_end=datetime(2026, 2, 15, 10, tzinfo=UTC),
        created_at=NOON,
    )


@needs_material
def test_licence_key_is_read():
    event = read("dodo/events/composed-sdk-1.123.0/license_key.created.json")

    assert gateway("dodo").translate(type="license_key.created", payload=event).facts == (
        LicenceKeyFact(
            ref="obj_composed_1",
            key="key",
            status="active",
            customer="cus_composed_1",
            product="pro_composed_1",
            created_at=NOON,
        ),
    )


@needs_material
def test_won_dispute_is_read():
    event = read("dodo/events/cli/dispute.won.json")

    assert gateway("dodo").translate(type="dispute.won", payload=event).facts[-1] == DisputeFact(
        ref="dp_test",
        status=DisputeStatus.won,
        amount_minor=400,
        currency="USD",
        payment="pay_test",
        reason="testing dispute",
        created_at=NOON,
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("opened", DisputeStatus.needs_response),
        ("challenged", DisputeStatus.under_review),
        ("accepted", DisputeStatus.lost),
        ("expired", DisputeStatus.lost),
        ("lost", DisputeStatus.lost),
        ("won", DisputeStatus.won),
        ("cancelled", DisputeStatus.closed),
    ],
)
def test_state_of_a_dispute(word, status):
    assert fact(f"dispute.{word}", DISPUTE, dispute_status="dispute_opened").status is status


@pytest.mark.parametrize("amount", ["400", 400])
def test_amount_of_a_dispute_is_a_number_or_its_text(amount):
    assert fact("dispute.opened", DISPUTE, amount=amount).amount_minor == 400


@pytest.mark.parametrize("amount", ["4.00", "", "-4", "\uff14\uff10\uff10", "9" * 16])
def test_text_that_is_no_whole_amount_disputes_the_whole_payment(amount):
    assert fact("dispute.opened", DISPUTE, amount=amount).amount_minor is None


@pytest.mark.parametrize("amount", [4.0, None, True])
def test_amount_of_a_dispute_that_is_no_text_and_no_whole_number_is_refused(amount):
    assert missing("dispute.opened", DISPUTE, amount=amount) == "data.amount"


@pytest.mark.parametrize(("kind", "item"), [("dispute.opened", DISPUTE), ("refund.succeeded", REFUND)])
def test_what_went_back_names_its_payment_or_is_refused_by_name(kind, item):
    assert missing(kind, item, payment_id=None) == "data.payment_id"


def test_early_stage_of_a_dispute_is_an_inquiry():
    assert fact("dispute.opened", DISPUTE, dispute_stage="pre_dispute").is_inquiry
    assert not fact("dispute.opened", DISPUTE, dispute_stage="dispute").is_inquiry


@pytest.mark.parametrize(
    ("word", "told", "status"),
    [
        ("active", "pending", SubscriptionStatus.active),
        ("on_hold", "active", SubscriptionStatus.past_due),
        ("past_due", "active", SubscriptionStatus.past_due),
        ("paused", "active", SubscriptionStatus.paused),
        ("unpaused", "paused", SubscriptionStatus.active),
        ("renewed", "pending", SubscriptionStatus.active),
        ("cancelled", "active", SubscriptionStatus.canceled),
        ("expired", "active", SubscriptionStatus.canceled),
        ("failed", "active", SubscriptionStatus.incomplete),
        ("updated", "pending", SubscriptionStatus.incomplete),
        ("plan_changed", "on_hold", SubscriptionStatus.past_due),
        ("update_payment_method", "active", SubscriptionStatus.active),
    ],
)
def test_state_of_a_subscription(word, told, status):
    assert fact(f"subscription.{word}", SUBSCRIPTION, status=told).status is status


def test_add_ons_of_a_subscription_are_lines():
    found = fact("subscription.active", SUBSCRIPTION, quantity=2, addons=[{"addon_id": "adn_1", "quantity": 3}])

    assert found.lines == (Line(prices=("pdt_1",), quantity=2), Line(prices=("adn_1",), quantity=3))


def test_subscription_that_cancels_at_the_next_billing_date_is_ending():
    dates = {"previous_billing_date": "2026-01-15T10:00:00Z", "next_billing_date": "2026-02-15T10:00:00Z"}

    found = fact("subscription.updated", SUBSCRIPTION, cancel_at_next_billing_date=True, **dates)

    assert (found.is_ending, found.cancel_at) == (True, datetime(2026, 2, 15, 10, tzinfo=UTC))


def test_trial_of_a_subscription_ends_after_its_days():
    found = fact("subscription.active", SUBSCRIPTION, created_at="2026-01-15T10:00:00Z", trial_period_days=7)

    assert found.trial_end == datetime(2026, 1, 22, 10, tzinfo=UTC)


def test_payment_lists_cart_refunds_and_disputes():
    found = facts(
        "payment.succeeded",
        PAYMENT,
        product_cart=[{"product_id": "pdt_1", "quantity": 2}],
        refunds=[REFUND | {"currency": None, "status": "review"}],
        disputes=[DISPUTE | {"dispute_status": "dispute_challenged"}],
        metadata={"bursar_price": "gold", "bursar_quantity": 2},
    )

    customer, payment, refund, dispute = found
    assert customer == CustomerFact(ref="cus_1", email="a@example.com", name="Ada")
    assert payment.lines == (Line(prices=("pdt_1",), quantity=2),)
    assert payment.claim == Claim(price="gold", quantity="2")
    assert (refund.currency, refund.status, refund.payment) == ("USD", RefundStatus.pending, "pay_1")
    assert (dispute.status, dispute.payment) == (DisputeStatus.under_review, "pay_1")


def test_payment_of_a_subscription_names_it_and_its_period():
    period = {"subscription_id": "sub_1", "starts_at": "2026-01-15T10:00:00Z", "ends_at": "2026-02-15T10:00:00Z"}

    found = fact(
        "payment.succeeded", PAYMENT, service_periods=[period], product_cart=[{"product_id": "p", "quantity": 1}]
    )

    assert found.subscription == "sub_1"
    assert (found.lines[0].period_start, found.lines[0].period_end) == (NOON, datetime(2026, 2, 15, 10, tzinfo=UTC))


def test_subscription_of_a_payment_is_found_wherever_it_is_told():
    assert fact("payment.succeeded", PAYMENT, subscription_id="sub_1").subscription == "sub_1"
    assert fact("payment.succeeded", PAYMENT, subscription_ids=["sub_1"]).subscription == "sub_1"
    assert fact("payment.succeeded", PAYMENT, subscription_ids=[]).subscription is None


@pytest.mark.parametrize("bad", [None, "400", 4.0, True, -1, 2**53])
def test_amount_of_a_payment_that_is_not_a_whole_number_is_refused_by_name(bad):
    assert missing("payment.succeeded", PAYMENT, total_amount=bad) == "data.total_amount"


def test_amounts_are_taken_as_iso_4217_minor_units():
    assert fact("payment.succeeded", PAYMENT, currency="JPY", total_amount=500).amount_minor == 500
    assert fact("payment.succeeded", PAYMENT, currency="KWD", total_amount=500).amount_minor == 500


def test_refund_without_an_amount_is_refused_and_not_guessed():
    assert missing("refund.succeeded", REFUND, amount=None) == "data.amount"


def test_part_of_a_licence_key_is_not_kept():
    assert missing("license_key.created", {"id": "lic_1", "key": "x" * 256}) == "data.key"


def test_customer_without_an_id_is_no_customer():
    found = facts("payment.succeeded", PAYMENT, customer={"email": "a@example.com"})

    assert [type(one) for one in found] == [PaymentFact]
    assert found[0].email == "a@example.com"
